package io.sparkattention.driver;

import java.util.Locale;

/** Seconds and bytes as a person reads them: three digits and a unit. */
final class Amount {
  private static final String[] BYTE_UNITS = {"B", "kB", "MB", "GB", "TB", "PB"};

  private Amount() {}

  static String bytes(double bytes) {
    int unit = 0;
    double value = bytes;
    // 999.5 would round to 1000.
    while (value >= 999.5 && unit + 1 < BYTE_UNITS.length) {
      value /= 1000;
      unit++;
    }
    return digits(value) + " " + BYTE_UNITS[unit];
  }

  static String seconds(double seconds) {
    if (seconds >= 7200) {
      return digits(seconds / 3600) + " h";
    }
    if (seconds >= 120) {
      return digits(seconds / 60) + " min";
    }
    return seconds >= 1 || seconds == 0 ? digits(seconds) + " s" : digits(seconds * 1e3) + " ms";
  }

  private static String digits(double value) {
    int decimals = value == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    return String.format(Locale.ROOT, "%,." + decimals + "f", value);
  }
}

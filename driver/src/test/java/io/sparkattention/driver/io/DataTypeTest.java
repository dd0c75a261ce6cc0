package io.sparkattention.driver.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class DataTypeTest {
  private static final int ALL_HALVES = 1 << 16;

  private static ByteBuffer allHalves() {
    ByteBuffer bytes = ByteBuffer.allocate(2 * ALL_HALVES).order(ByteOrder.LITTLE_ENDIAN);
    for (int bits = 0; bits < ALL_HALVES; bits++) {
      bytes.putShort((short) bits);
    }
    return bytes.flip();
  }

  private static float decoded(DataType type, int bits) {
    ByteBuffer bytes = ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN).putShort((short) bits);
    float[] value = new float[1];
    type.decode(bytes.flip(), value, 0, 1);
    return value[0];
  }

  private static int encoded(DataType type, float value) {
    ByteBuffer bytes = ByteBuffer.allocate(2).order(ByteOrder.LITTLE_ENDIAN);
    type.encode(new float[] {value}, 0, 1, bytes);
    return bytes.getShort(0) & 0xffff;
  }

  @ParameterizedTest
  @EnumSource(names = {"F16", "BF16"})
  void everyHalfValueComesBack(DataType type) {
    float[] values = new float[ALL_HALVES];
    type.decode(allHalves(), values, 0, ALL_HALVES);
    ByteBuffer back = ByteBuffer.allocate(2 * ALL_HALVES).order(ByteOrder.LITTLE_ENDIAN);
    type.encode(values, 0, ALL_HALVES, back);
    back.flip();
    int notNumbers = 0;
    for (int bits = 0; bits < ALL_HALVES; bits++) {
      int found = back.getShort() & 0xffff;
      if (Float.isNaN(values[bits])) {
        notNumbers++;
        assertThat(decoded(type, found)).isNaN();
        assertThat(found & 0x8000).isEqualTo(bits & 0x8000);
      } else {
        assertThat(found).isEqualTo(bits);
      }
    }
    int fractions = type == DataType.F16 ? 1 << 10 : 1 << 7;
    assertThat(notNumbers).isEqualTo(2 * (fractions - 1));
  }

  /** The value of every finite half by its definition, in double. */
  @Test
  void everyFiniteHalfHasTheValueOfItsDefinition() {
    float[] values = new float[ALL_HALVES];
    DataType.F16.decode(allHalves(), values, 0, ALL_HALVES);
    for (int bits = 0; bits < ALL_HALVES; bits++) {
      int exponent = bits >> 10 & 31;
      int fraction = bits & 1023;
      if (exponent < 31) {
        double magnitude =
            exponent == 0
                ? Math.scalb((double) fraction, -24)
                : Math.scalb(1024.0 + fraction, exponent - 25);
        double expected = bits >= 0x8000 ? -magnitude : magnitude;
        assertThat((double) values[bits]).isEqualTo(expected);
      }
    }
  }

  /**
   * Between every pair of neighbours: the tie goes to the even one, anything else to the nearer.
   */
  @ParameterizedTest
  @EnumSource(names = {"F16", "BF16"})
  void roundsToNearestAndTiesToEven(DataType type) {
    int infinity = type == DataType.F16 ? 0x7c00 : 0x7f80;
    for (int bits = 0; bits < infinity - 1; bits++) {
      double middle = ((double) decoded(type, bits) + decoded(type, bits + 1)) / 2;
      float tie = (float) middle;
      assertThat((double) tie).isEqualTo(middle);
      int even = (bits & 1) == 0 ? bits : bits + 1;
      assertThat(encoded(type, tie)).isEqualTo(even);
      assertThat(encoded(type, -tie)).isEqualTo(even | 0x8000);
      assertThat(encoded(type, Math.nextDown(tie))).isEqualTo(bits);
      assertThat(encoded(type, Math.nextUp(tie))).isEqualTo(bits + 1);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "F16, 65504, 7bff",
    "F16, 65519.996, 7bff",
    "F16, 65520, 7c00",
    "F16, -65520, fc00",
    "F16, 3e38, 7c00",
    "F16, Infinity, 7c00",
    "F16, -Infinity, fc00",
    "F16, -0.0, 8000",
    "F16, 2.9802322e-8, 0",
    "F16, 2.9802326e-8, 1",
    "F16, 1e-45, 0",
    "BF16, 3.3895314e38, 7f7f",
    "BF16, 3.4028235e38, 7f80",
    "BF16, -3.4028235e38, ff80",
    "BF16, Infinity, 7f80",
    "BF16, -0.0, 8000",
    "BF16, 1e-45, 0",
  })
  void theEdgesOfTheRangesRound(DataType type, float value, String bits) {
    assertThat(encoded(type, value)).isEqualTo(Integer.parseInt(bits, 16));
  }

  @ParameterizedTest
  @EnumSource(names = {"F16", "BF16"})
  void aPayloadBelowTheNarrowerFractionStaysNotANumber(DataType type) {
    assertThat(decoded(type, encoded(type, Float.intBitsToFloat(0x7f80_0001)))).isNaN();
    assertThat(decoded(type, encoded(type, Float.intBitsToFloat(0xffff_ffff)))).isNaN();
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F64"})
  void wideTypesKeepEveryValue(DataType type) {
    Random random = new Random(1);
    float[] values = new float[1000];
    for (int i = 0; i < values.length; i++) {
      values[i] = Float.intBitsToFloat(random.nextInt());
    }
    ByteBuffer bytes = ByteBuffer.allocate(values.length * type.bytes());
    type.encode(values, 0, values.length, bytes);
    assertThat(bytes.hasRemaining()).isFalse();
    float[] back = new float[values.length];
    type.decode(bytes.flip(), back, 0, back.length);
    assertThat(back).isEqualTo(values);
  }

  @Test
  void aDoubleBeyondFloatIsSeenAsInfinity() {
    ByteBuffer bytes = ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putDouble(1e300).putDouble(-1e39).putDouble(0.1);
    float[] values = new float[3];
    DataType.F64.decode(bytes.flip(), values, 0, 3);
    assertThat(values)
        .containsExactly(Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, (float) 0.1);
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "F16", "BF16", "F64"})
  void onlyTheRangeAskedForIsTouched(DataType type) {
    ByteBuffer bytes = ByteBuffer.allocateDirect(5 * type.bytes()).order(ByteOrder.BIG_ENDIAN);
    bytes.position(type.bytes());
    type.encode(new float[] {9, 1, 2, 9}, 1, 2, bytes);
    assertThat(bytes.position()).isEqualTo(3 * type.bytes());
    float[] values = {7, 7, 7, 7, 7};
    bytes.position(type.bytes());
    type.decode(bytes, values, 2, 2);
    assertThat(bytes.position()).isEqualTo(3 * type.bytes());
    assertThat(bytes.order()).isEqualTo(ByteOrder.BIG_ENDIAN);
    assertThat(values).containsExactly(7, 7, 1, 2, 7);
  }

  @Test
  void refusesWhatIsNoFloatAndWhatDoesNotFit() {
    ByteBuffer bytes = ByteBuffer.allocate(7);
    float[] values = new float[2];
    assertThatThrownBy(() -> DataType.I64.decode(ByteBuffer.allocate(16), values, 0, 2))
        .isInstanceOf(UnsupportedOperationException.class)
        .hasMessage("Cannot convert I64 to or from float32");
    assertThatThrownBy(() -> DataType.F32.decode(bytes, values, 0, 2))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Cannot convert 2 F32: the buffer has 7 bytes");
    assertThatThrownBy(() -> DataType.F16.encode(values, 1, 2, bytes))
        .isInstanceOf(IndexOutOfBoundsException.class);
  }
}

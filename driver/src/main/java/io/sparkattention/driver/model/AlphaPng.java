package io.sparkattention.driver.model;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.zip.CRC32;
import java.util.zip.Deflater;

/**
 * A square picture of one colour, its opacity given per pixel, as PNG (W3C Recommendation, third
 * edition): it lies on light and dark pages alike.
 */
final class AlphaPng {
  private static final byte[] SIGNATURE = {(byte) 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  private static final byte EIGHT_BITS = 8;
  private static final byte RGBA = 6;

  private AlphaPng() {}

  /**
   * The picture as a {@code data:} address.
   *
   * @param opacity [side, side], 0 to 1
   * @param rgb colour as 0xRRGGBB
   */
  static String dataAddress(double[] opacity, int side, int rgb) {
    ByteBuffer header = ByteBuffer.allocate(13).putInt(side).putInt(side);
    header.put(EIGHT_BITS).put(RGBA);
    ByteArrayOutputStream png = new ByteArrayOutputStream();
    png.writeBytes(SIGNATURE);
    write(png, "IHDR", header.array());
    write(png, "IDAT", deflated(pixels(opacity, side, rgb)));
    write(png, "IEND", new byte[0]);
    return "data:image/png;base64," + Base64.getEncoder().encodeToString(png.toByteArray());
  }

  private static byte[] pixels(double[] opacity, int side, int rgb) {
    ByteBuffer pixels = ByteBuffer.allocate(side * (1 + side * Integer.BYTES));
    for (int row = 0; row < side; row++) {
      pixels.put((byte) 0); // no filter in this row
      for (int column = 0; column < side; column++) {
        int alpha = (int) Math.round(opacity[row * side + column] * 255);
        pixels.putInt(rgb << 8 | alpha);
      }
    }
    return pixels.array();
  }

  private static byte[] deflated(byte[] bytes) {
    Deflater deflater = new Deflater(Deflater.BEST_COMPRESSION);
    deflater.setInput(bytes);
    deflater.finish();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    byte[] buffer = new byte[4096];
    while (!deflater.finished()) {
      out.write(buffer, 0, deflater.deflate(buffer));
    }
    deflater.end();
    return out.toByteArray();
  }

  /** Length, type, data, checksum of type and data. */
  private static void write(ByteArrayOutputStream png, String type, byte[] data) {
    byte[] name = type.getBytes(StandardCharsets.US_ASCII);
    CRC32 checksum = new CRC32();
    checksum.update(name);
    checksum.update(data);
    ByteBuffer part = ByteBuffer.allocate(12 + data.length);
    part.putInt(data.length).put(name).put(data).putInt((int) checksum.getValue());
    png.writeBytes(part.array());
  }
}

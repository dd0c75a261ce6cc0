package io.sparkattention.kernels.benchmark;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Writes a TorchScript archive of a module without parameters whose forward returns one expression.
 * DJL has no call for attention, and this is the door to every operator of PyTorch. The format
 * (PyTorch's torch/csrc/jit/docs/serialization.md) is a zip, stored and not compressed, of the code
 * and of two pickles.
 */
final class TorchScript {
  private static final int PICKLE_PROTOCOL = 2;

  private TorchScript() {}

  /**
   * @param expression of the tensors q, k and v
   */
  static byte[] archive(String expression) throws IOException {
    String code =
        """
        class Attention(Module):
          __parameters__ = []
          __buffers__ = []
          training : bool
          def forward(self: __torch__.Attention,
            q: Tensor,
            k: Tensor,
            v: Tensor) -> Tensor:
            return %s
        """
            .formatted(expression);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      zip.setMethod(ZipOutputStream.STORED);
      put(zip, "data.pkl", module());
      put(zip, "code/__torch__.py", code.getBytes(StandardCharsets.UTF_8));
      put(zip, "constants.pkl", new byte[] {(byte) 0x80, PICKLE_PROTOCOL, ')', '.'});
      put(zip, "version", "3\n".getBytes(StandardCharsets.UTF_8));
    }
    return bytes.toByteArray();
  }

  /** The pickle of {@code __torch__.Attention()} with the state {@code {'training': False}}. */
  private static byte[] module() {
    ByteArrayOutputStream pickle = new ByteArrayOutputStream();
    pickle.write(0x80);
    pickle.write(PICKLE_PROTOCOL);
    // Global, empty tuple, new object; empty dictionary, mark.
    pickle.writeBytes("c__torch__\nAttention\n)\u0081}(".getBytes(StandardCharsets.ISO_8859_1));
    // String of 8 bytes, false; set items, build, stop.
    pickle.writeBytes("X\b\0\0\0training\u0089ub.".getBytes(StandardCharsets.ISO_8859_1));
    return pickle.toByteArray();
  }

  private static void put(ZipOutputStream zip, String name, byte[] content) throws IOException {
    ZipEntry entry = new ZipEntry("attention/" + name);
    entry.setSize(content.length);
    CRC32 crc = new CRC32();
    crc.update(content);
    entry.setCrc(crc.getValue());
    zip.putNextEntry(entry);
    zip.write(content);
    zip.closeEntry();
  }
}

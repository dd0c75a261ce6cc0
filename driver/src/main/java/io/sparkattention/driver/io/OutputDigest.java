package io.sparkattention.driver.io;

import io.sparkattention.driver.AttentionOutput;
import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.driver.exchange.AttentionRows;
import io.sparkattention.driver.exchange.ScoreBlock;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import org.apache.spark.api.java.JavaRDD;

/**
 * Keeps no rows, only what tells whether two runs gave the same bits: the SHA-256 of the SHA-256s
 * of all query blocks in the order of sequences and positions, those taken where the rows are. It
 * depends on the bits and on {@code blockTokens}, not on who computed which block.
 */
public final class OutputDigest implements AttentionOutput {
  private static final int FLOATS_AT_ONCE = 16 << 10;

  /** Null until the rows are there. */
  private String hex;

  @Override
  public void check(AttentionPlan plan) {
    // Nothing is written.
  }

  @Override
  public void write(
      AttentionPlan plan, JavaRDD<AttentionRows> rows, Optional<JavaRDD<ScoreBlock>> scores) {
    List<String> lines = new ArrayList<>(rows.map(OutputDigest::line).collect());
    Collections.sort(lines);
    MessageDigest all = sha256();
    lines.forEach(line -> all.update(line.getBytes(StandardCharsets.UTF_8)));
    hex = HexFormat.of().formatHex(all.digest());
  }

  /**
   * The digest of the run that has ended, in 64 hexadecimal digits.
   *
   * @throws IllegalStateException if none has
   */
  public String hex() {
    if (hex == null) {
      throw new IllegalStateException("No rows were written");
    }
    return hex;
  }

  /** Lines in the order of their texts are in that of sequences and positions. */
  private static String line(AttentionRows rows) {
    MessageDigest digest = sha256();
    update(digest, rows.output());
    update(digest, rows.logSumExp());
    return "%010d %019d %s\n"
        .formatted(
            rows.block().sequence(),
            rows.block().start(),
            HexFormat.of().formatHex(digest.digest()));
  }

  private static void update(MessageDigest digest, float[] numbers) {
    ByteBuffer bytes =
        ByteBuffer.allocate(FLOATS_AT_ONCE * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    for (int i = 0; i < numbers.length; i += FLOATS_AT_ONCE) {
      int count = Math.min(FLOATS_AT_ONCE, numbers.length - i);
      bytes.asFloatBuffer().put(numbers, i, count);
      digest.update(bytes.array(), 0, count * Float.BYTES);
    }
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every JDK has SHA-256", e);
    }
  }
}

package io.sparkattention.jobs;

import io.sparkattention.driver.io.DataType;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Wrong optional tensors of safetensors files, and scores that cannot be written. */
class BadInputTensorTest extends CommandTest {
  private Path in;

  @BeforeEach
  void nameInput() {
    in = at("in.safetensors");
  }

  private void assertRefused(String message, TensorFile tensors, String... options) {
    assertRefused(message, at("out.safetensors"), tensors, options);
  }

  private void assertRefused(String message, Path out, TensorFile tensors, String... options) {
    tensors.write(in);
    Object[] arguments = {"attend", "--input", in, "--output", out};
    Object[] all = Arrays.copyOf(arguments, arguments.length + options.length);
    System.arraycopy(options, 0, all, arguments.length, options.length);
    assertRefused(message.replace("IN", in.toString()), all);
  }

  private static TensorFile withPast(long... keyShape) {
    return TensorFile.valid()
        .with("past_key", DataType.F32, keyShape)
        .with("past_value", DataType.F32, 1, 2, 3, 8);
  }

  @ParameterizedTest
  @CsvSource({"past_key, past_value", "past_value, past_key"})
  void halfAPast(String name, String other) {
    assertRefused(
        "Missing tensor '%s' in 'IN': found '%s' without it, expected both or neither; add it or remove '%s'"
            .formatted(other, name, name),
        TensorFile.valid().with(name, DataType.F32, 1, 2, 3, 8));
  }

  @Test
  void aPastOfRankThree() {
    assertRefused(
        "Invalid tensor 'past_key' in 'IN': found shape [1, 3, 16], expected [1, 2, past, 8] as of"
            + " 'key'; correct their shapes",
        withPast(1, 3, 16));
  }

  @Test
  void aPastOfOtherHeads() {
    assertRefused(
        "Invalid tensor 'past_key' in 'IN': found shape [1, 4, 3, 8], expected [1, 2, past, 8] as of"
            + " 'key'; correct their shapes",
        withPast(1, 4, 3, 8));
  }

  @Test
  void pastsOfDifferentLengths() {
    assertRefused(
        "Invalid number of tokens of 'past_value' in 'IN': found 3, expected 4 as of 'past_key';"
            + " correct their shapes",
        withPast(1, 2, 4, 8));
  }

  @Test
  void aPastOfAnotherType() {
    assertRefused(
        "Invalid tensor 'past_key' in 'IN': found type F16, expected F32 as of 'key'; convert it",
        withPast(1, 2, 3, 8).with("past_key", DataType.F16, 1, 2, 3, 8));
  }

  /** The position counts from the first key of the past. */
  @Test
  void aNumberBehindAPastThatIsNotFinite() {
    assertRefused(
        "Invalid key in sequence '0', head 1, position 7: found NaN, expected finite; correct the"
            + " input",
        withPast(1, 2, 3, 8).set("key", Float.NaN, 0, 1, 4, 7),
        "--block-tokens",
        "4");
  }

  @Test
  void aPastBesidePadding() {
    assertRefused(
        "Cannot use 'nonpad_kv_seqlen' with 'past_key' and 'past_value' in 'IN': expected one or the"
            + " other; remove 'nonpad_kv_seqlen' or the past",
        withPast(1, 2, 3, 8).with("nonpad_kv_seqlen", DataType.I64, 1));
  }

  @ParameterizedTest
  @ValueSource(floats = {-1, 7})
  void moreKeysThanThereAreOrLessThanNone(float count) {
    assertRefused(
        "Invalid nonpad_kv_seqlen of sequence '0' in 'IN': found %.0f, expected 0 to 6, the tokens of 'key'; correct it"
            .formatted(count),
        TensorFile.valid()
            .with("nonpad_kv_seqlen", DataType.I64, 1)
            .fill("nonpad_kv_seqlen", count));
  }

  @Test
  void lengthsOfAnotherBatch() {
    assertRefused(
        "Invalid tensor 'nonpad_kv_seqlen' in 'IN': found shape [2], expected [1], a number of keys"
            + " for each sequence; correct its shape",
        TensorFile.valid().with("nonpad_kv_seqlen", DataType.I64, 2));
  }

  @Test
  void lengthsThatAreNotWholeNumbers() {
    assertRefused(
        "Invalid tensor 'nonpad_kv_seqlen' in 'IN': found type F32, expected I64 or I32; convert it",
        TensorFile.valid().with("nonpad_kv_seqlen", DataType.F32, 1));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "6 | shape [6] | 2 to 4 axes of [batch, heads, queries, keys]; reshape it",
        "1 1 1 5 6 | shape [1, 1, 1, 5, 6] | 2 to 4 axes of [batch, heads, queries, keys]; reshape it",
        "4 6 | shape [4, 6], 4 queries | 1 or 5 of them; correct its shape",
        "2 5 6 | shape [2, 5, 6], 2 heads | 1 or 4 of them; correct its shape",
        "2 1 5 6 | shape [2, 1, 5, 6], 2 sequences | 1 of them; correct its shape",
        "5 7 | shape [5, 7], 7 keys | 2 to 6 of them; expand or cut it",
        "5 1 | shape [5, 1], 1 keys | 2 to 6 of them; expand or cut it"
      })
  void aMaskThatCannotBeBroadcast(String sizes, String found, String expected) {
    long[] shape = Arrays.stream(sizes.split(" ")).mapToLong(Long::parseLong).toArray();
    assertRefused(
        "Invalid tensor 'attn_mask' in 'IN': found " + found + ", expected " + expected,
        TensorFile.valid().with("attn_mask", DataType.BOOL, shape));
  }

  @Test
  void aMaskOfWholeNumbers() {
    assertRefused(
        "Invalid tensor 'attn_mask' in 'IN': found type I64, expected BOOL, F32, F16, BF16 or F64;"
            + " convert it",
        TensorFile.valid().with("attn_mask", DataType.I64, 5, 6));
  }

  @ParameterizedTest
  @CsvSource({"NaN, ring", "Infinity, reduce"})
  void aMaskWithANumberThatCannotBeAdded(float number, String exchange) {
    assertRefused(
        "Invalid attn_mask in sequence '0', head 2, position 3, key 5: found %s, expected a number or -Infinity; correct the input"
            .formatted(number),
        TensorFile.valid()
            .with("attn_mask", DataType.F32, 1, 4, 5, 6)
            .set("attn_mask", number, 0, 2, 3, 5),
        "--block-tokens",
        "2",
        "--exchange",
        exchange);
  }

  /** A score is what the mask makes of it. */
  @Test
  void aMaskThatTakesAScoreOutOfRange() {
    assertRefused(
        "Invalid score in sequence '0', head 0, position 3: found 1.000e+07, expected between"
            + " -2.9e6 and 2.9e6; make the queries and keys or --scale smaller",
        TensorFile.valid().with("attn_mask", DataType.F32, 5, 6).set("attn_mask", 1e7f, 3, 5));
  }

  @Test
  void aStageOfScoresThatThereIsNot() {
    assertRefused(
        "Invalid --scores-output: found '4', expected 0, 1, 2 or 3",
        TensorFile.valid(),
        "--scores-output",
        "4");
  }

  @Test
  void scoresToATable() {
    Path table = at("table");
    assertRefused(
        "Cannot write scores to '"
            + table
            + "': found a Parquet dataset, expected a .safetensors file; choose such an output or"
            + " leave out --scores-output",
        table,
        TensorFile.valid(),
        "--scores-output",
        "0");
  }
}

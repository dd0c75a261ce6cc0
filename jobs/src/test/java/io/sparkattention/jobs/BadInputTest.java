package io.sparkattention.jobs;

import io.sparkattention.driver.io.DataType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Wrong safetensors files: what a person reads. */
class BadInputTest extends CommandTest {
  private Path in;

  @BeforeEach
  void nameInput() {
    in = at("in.safetensors");
  }

  private void assertRefused(String message, TensorFile tensors, String... options) {
    tensors.write(in);
    assertFileRefused(message, options);
  }

  private void assertFileRefused(String message, String... options) {
    Object[] arguments = {"attend", "--input", in, "--output", at("out.safetensors")};
    Object[] all = Arrays.copyOf(arguments, arguments.length + options.length);
    System.arraycopy(options, 0, all, arguments.length, options.length);
    assertRefused(message.replace("IN", in.toString()), all);
  }

  @Test
  void aMissingTensor() {
    assertRefused(
        "Missing tensor 'value' in 'IN': found 'key', 'query'; add the tensor",
        TensorFile.valid().without("value"));
  }

  @Test
  void noTensorsAtAll() {
    assertRefused(
        "Missing tensor 'query' in 'IN': found no tensors; add the tensor", new TensorFile());
  }

  @Test
  void aTensorThatAttentionDoesNotKnow() {
    assertRefused(
        "Unknown tensor 'bias' in 'IN': expected query, key, value, attn_mask, past_key, past_value"
            + " and nonpad_kv_seqlen; remove it",
        TensorFile.valid().with("bias", DataType.F32, 3));
  }

  @Test
  void aRankThatIsNeitherThreeNorFour() {
    assertRefused(
        "Invalid tensor 'query' in 'IN': found shape [5, 8], expected [batch, heads, tokens,"
            + " headDim] or [batch, tokens, heads·headDim]",
        TensorFile.valid().with("query", DataType.F32, 5, 8));
  }

  @Test
  void ranksThatDiffer() {
    assertRefused(
        "Invalid rank of 'key' in 'IN': found 3, expected 4 as of 'query'; correct their shapes",
        TensorFile.valid().with("key", DataType.F32, 1, 6, 16),
        "--num-heads",
        "4",
        "--num-kv-heads",
        "2");
  }

  @Test
  void headCountsThatDoNotDivide() {
    assertRefused(
        "Invalid heads in 'IN': found 4 for 'query' and 3 for 'key' and 'value', expected a"
            + " multiple of the latter for 'query'; correct their shapes",
        TensorFile.valid()
            .with("key", DataType.F32, 1, 3, 6, 8)
            .with("value", DataType.F32, 1, 3, 6, 8));
  }

  @Test
  void moreKeyValueHeadsThanQueryHeads() {
    assertRefused(
        "Invalid heads in 'IN': found 4 for 'query' and 8 for 'key' and 'value', expected a"
            + " multiple of the latter for 'query'; correct their shapes",
        TensorFile.valid()
            .with("key", DataType.F32, 1, 8, 6, 8)
            .with("value", DataType.F32, 1, 8, 6, 8));
  }

  @Test
  void headsOfKeysAndValuesThatDiffer() {
    assertRefused(
        "Invalid number of heads of 'value' in 'IN': found 4, expected 2 as of 'key'; correct their"
            + " shapes",
        TensorFile.valid().with("value", DataType.F32, 1, 4, 6, 8));
  }

  @Test
  void headSizesThatDiffer() {
    assertRefused(
        "Invalid headDim in 'IN': found 8 for 'query' and 16 for 'key', expected the same; correct"
            + " their widths",
        TensorFile.valid().with("key", DataType.F32, 1, 2, 6, 16));
  }

  @Test
  void headsThatAreTooWide() {
    assertRefused(
        "Invalid headDim in 'IN': found 513 for 'value', expected 1 to 512; split the heads",
        TensorFile.valid().with("value", DataType.F32, 1, 2, 6, 513));
  }

  @Test
  void tokensOfKeysAndValuesThatDiffer() {
    assertRefused(
        "Invalid number of tokens of 'value' in 'IN': found 7, expected 6 as of 'key'; correct"
            + " their shapes",
        TensorFile.valid().with("value", DataType.F32, 1, 2, 7, 8));
  }

  @Test
  void batchesThatDiffer() {
    assertRefused(
        "Invalid batch of 'key' in 'IN': found 2, expected 1 as of 'query'; correct their shapes",
        TensorFile.valid().with("key", DataType.F32, 2, 2, 6, 8));
  }

  @Test
  void anEmptyAxis() {
    assertRefused(
        "Invalid tensor 'query' in 'IN': found shape [1, 4, 0, 8], expected at least 1 on each axis",
        TensorFile.valid().with("query", DataType.F32, 1, 4, 0, 8));
  }

  @ParameterizedTest
  @ValueSource(strings = {"I32", "BOOL", "F8_E4M3"})
  void numbersOfATypeThatAttentionDoesNotTake(String type) {
    assertRefused(
        "Invalid tensor 'value' in 'IN': found type "
            + type
            + ", expected F32, F16, BF16 or F64; convert it",
        TensorFile.valid().with("value", DataType.valueOf(type), 1, 2, 6, 8));
  }

  @Test
  void rankThreeWithoutHeads() {
    assertRefused(
        "Missing --num-heads: tensor 'query' in 'IN' has shape [1, 5, 32], which does not tell the"
            + " number of heads; give --num-heads N",
        TensorFile.valid().with("query", DataType.F32, 1, 5, 32));
  }

  @Test
  void rankThreeWithHeadsThatDoNotDivideItsRows() {
    assertRefused(
        "Invalid tensor 'query' in 'IN': found rows of 32 numbers, expected a multiple of"
            + " --num-heads 5",
        TensorFile.valid().with("query", DataType.F32, 1, 5, 32),
        "--num-heads",
        "5");
  }

  @Test
  void rankThreeWithKeyValueHeadsThatDoNotDivideItsRows() {
    assertRefused(
        "Invalid tensor 'key' in 'IN': found rows of 16 numbers, expected a multiple of"
            + " --num-kv-heads 3",
        TensorFile.valid()
            .with("query", DataType.F32, 1, 5, 32)
            .with("key", DataType.F32, 1, 6, 16),
        "--num-heads",
        "4",
        "--num-kv-heads",
        "3");
  }

  @Test
  void headsThatTheShapeContradicts() {
    assertRefused(
        "Invalid tensor 'query' in 'IN': found 4 heads, expected 8 as --num-heads says",
        TensorFile.valid(),
        "--num-heads",
        "8");
  }

  @ParameterizedTest
  @CsvSource({
    "query, NaN, 3, NaN",
    "query, -Infinity, 3, -Infinity",
    "key, NaN, 1, NaN",
    "key, Infinity, 1, Infinity"
  })
  void aQueryOrKeyThatIsNotFinite(String name, float number, int head, String found) {
    assertRefused(
        "Invalid %s in sequence '0', head %d, position 4: found %s, expected finite; correct the input"
            .formatted(name, head, found),
        TensorFile.valid().set(name, number, 0, head, 4, 7));
  }

  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, 3e38f})
  void aValueThatCannotBeSummed(float number) {
    assertRefused(
        ("Invalid value in sequence '0', head 1, position 5: found %s, expected finite and at most"
                + " 2.8356865E37; correct the input")
            .formatted(number),
        TensorFile.valid().set("value", number, 0, 1, 5, 0));
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "2", "100"})
  void thePositionIsThatOfTheSequenceWhateverTheBlocks(String blockTokens) {
    TensorFile tensors =
        new TensorFile()
            .with("query", DataType.F16, 3, 5, 32)
            .with("key", DataType.F16, 3, 6, 16)
            .with("value", DataType.F16, 3, 6, 16)
            .set("key", Float.NaN, 2, 5, 8);
    assertRefused(
        "Invalid key in sequence '2', head 1, position 5: found NaN, expected finite; correct the"
            + " input",
        tensors,
        "--num-heads",
        "4",
        "--num-kv-heads",
        "2",
        "--block-tokens",
        blockTokens,
        "--shards",
        "3");
  }

  @Test
  void anF64BeyondFloat32() {
    // The tensor's own numbers are float32; their infinity stands for any F64 out of its range.
    assertRefused(
        "Invalid query in sequence '0', head 0, position 0: found Infinity, expected finite; correct"
            + " the input",
        TensorFile.valid()
            .with("query", DataType.F64, 1, 4, 5, 8)
            .set("query", Float.POSITIVE_INFINITY, 0, 0, 0, 0));
  }

  @ParameterizedTest
  @ValueSource(strings = {"ring", "reduce"})
  void aScoreOutOfRange(String exchange) {
    // 8 · 1e5 · 1e5 / √8.
    assertRefused(
        "Invalid score in sequence '0', head 0, position 0: found 2.828e+10, expected between"
            + " -2.9e6 and 2.9e6; make the queries and keys or --scale smaller",
        TensorFile.valid().fill("query", 1e5f).fill("key", 1e5f),
        "--exchange",
        exchange);
  }

  @Test
  void aScoreOutOfRangeInOneHead() {
    TensorFile tensors = TensorFile.valid();
    for (int d = 0; d < 8; d++) {
      tensors.set("query", 1e5f, 0, 2, 3, d).set("key", -1e5f, 0, 1, 1, d);
    }
    assertRefused(
        "Invalid score in sequence '0', head 2, position 3: found -2.828e+10, expected between"
            + " -2.9e6 and 2.9e6; make the queries and keys or --scale smaller",
        tensors,
        "--block-tokens",
        "2");
  }

  @Test
  void aScaleThatTakesAQueryOutOfRange() {
    assertRefused(
        "Invalid query in sequence '0', head 0, position 0: found 1.0E10, which --scale takes out of"
            + " float32's range, expected a smaller number; make the queries or --scale smaller",
        TensorFile.valid().fill("query", 1e10f),
        "--scale",
        "1e30");
  }

  @Test
  void anAbsentFile() {
    assertFileRefused(
        "Cannot read 'IN': no such file, or no right to read it, expected a safetensors file; check"
            + " the path");
  }

  @Test
  void aFolderForAFile() throws IOException {
    Files.createDirectory(in);
    assertFileRefused(
        "Cannot read 'IN': it is a folder, expected a safetensors file; name the file");
  }

  @Test
  void aFileThatWasCutOff() throws IOException {
    TensorFile.valid().write(in);
    byte[] bytes = Files.readAllBytes(in);
    Files.write(in, Arrays.copyOf(bytes, bytes.length - 100));
    assertFileRefused(
        "Invalid safetensors file 'IN': data_offsets of tensor 'value' is [1024, 1408], expected an"
            + " end within the 1308 bytes after the header; export the file again");
  }

  @Test
  void anEmptyFile() throws IOException {
    Files.write(in, new byte[0]);
    assertFileRefused(
        "Invalid safetensors file 'IN': its size in bytes is 0, expected at least 8; export the file"
            + " again");
  }

  private void writeHeader(long length, String header, int dataBytes) throws IOException {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer file = ByteBuffer.allocate(Long.BYTES + json.length + dataBytes);
    Files.write(in, file.order(ByteOrder.LITTLE_ENDIAN).putLong(length).put(json).array());
  }

  @Test
  void aHeaderLongerThanTheFile() throws IOException {
    writeHeader(1L << 60, "{}", 0);
    assertFileRefused(
        "Invalid safetensors file 'IN': its header's length is 1152921504606846976, expected at most"
            + " the 2 bytes that follow; export the file again");
  }

  @Test
  void aHeaderThatIsNotJson() throws IOException {
    writeHeader(4, "{]]]", 0);
    assertFileRefused(
        "Invalid safetensors file 'IN': its header is not JSON at character 1, expected a JSON object of tensors;"
            + " export the file again");
  }

  @Test
  void aShapeThatOverflows() throws IOException {
    String header =
        "{\"query\":{\"dtype\":\"F32\",\"shape\":[2147483648,2147483648],\"data_offsets\":[0,16]}}";
    writeHeader(header.length(), header, 16);
    assertFileRefused(
        "Invalid safetensors file 'IN': shape of tensor 'query' is [2147483648, 2147483648], expected"
            + " fewer than 2^63 bytes in all; export the file again");
  }
}

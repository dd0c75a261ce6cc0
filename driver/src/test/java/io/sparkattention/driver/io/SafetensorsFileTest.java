package io.sparkattention.driver.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.SafetensorsFile.Tensor;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSInputStream;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SafetensorsFileTest {
  private static final String TYPES =
      "F32, F16, BF16, F64, BOOL, I64, I32, I16, I8, U64, U32, U16, U8, F8_E4M3, F8_E5M2";

  private final Configuration conf = new Configuration();

  @TempDir private java.nio.file.Path folder;

  private static byte[] bytes(long headerLength, byte[] header, int data) {
    return ByteBuffer.allocate(8 + header.length + data)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(headerLength)
        .put(header)
        .array();
  }

  private Path file(byte[] content) throws IOException {
    return new Path(Files.write(folder.resolve("in.safetensors"), content).toString());
  }

  /** A file with that header, in which ' stands for ", and that many bytes of data. */
  private Path file(String header, int data) throws IOException {
    byte[] json = header.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
    return file(bytes(json.length, json, data));
  }

  private void assertInvalid(Path path, String problem) {
    assertThatThrownBy(() -> SafetensorsFile.open(path, conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Invalid safetensors file '" + path + "': " + problem + "; export the file again");
  }

  @Test
  void aFileTooShortForItsHeadersLength() throws IOException {
    assertInvalid(file(new byte[7]), "its size in bytes is 7, expected at least 8");
  }

  @ParameterizedTest
  @CsvSource({"-1, 18446744073709551615", "1152921504606846976, 1152921504606846976", "3, 3"})
  void aHeaderLongerThanTheFile(long length, String shown) throws IOException {
    assertInvalid(
        file(bytes(length, new byte[] {'{', '}'}, 0)),
        "its header's length is " + shown + ", expected at most the 2 bytes that follow");
  }

  @Test
  void aHeaderBeyondTheFormatsLimit() {
    // No file of that size is needed: the length alone decides.
    byte[] length =
        ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(100_000_001).array();
    FSDataInputStream in = new FSDataInputStream(new GrowingStream(length));
    assertThatThrownBy(() -> SafetensorsHeader.read("x", in, 1L << 40))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Invalid safetensors file 'x': its header's length is 100000001, expected at most"
                + " 100000000; export the file again");
  }

  @Test
  void aHeaderThatIsNotUtf8() throws IOException {
    byte[] header = {'{', '"', (byte) 0xc3, '"', '}'};
    assertInvalid(file(bytes(5, header, 0)), "its header is not UTF-8, expected JSON in UTF-8");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"{]]]", "{'a':", "{'a':{'dtype':'F32'", "{'a':01}", "{'a' 1}", "{'a':nan}"})
  void aHeaderThatIsNotJson(String header) throws IOException {
    Path path = file(header, 0);
    assertThatThrownBy(() -> SafetensorsFile.open(path, conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(
            "Invalid safetensors file '" + path + "': its header is not JSON at character ")
        .hasMessageEndingWith(", expected a JSON object of tensors; export the file again")
        .hasMessageNotContaining("\n");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "``|its header is empty, expected a JSON object of tensors",
        "[]|its header is an array, expected a JSON object of tensors",
        "3|its header is 3, expected a JSON object of tensors",
        "{} {}|what follows the header's object is an object, expected spaces only",
        "{'a':7}|tensor 'a' is 7, expected an object with dtype, shape and data_offsets",
        "{'__metadata__':[]}|__metadata__ is an array, expected an object of strings",
        "{'__metadata__':{'k':1}}|__metadata__ entry 'k' is 1, expected a string",
        "{'__metadata__':{'k':'','k':''}}"
            + "|__metadata__ entry 'k' is there twice, expected one entry per name",
        "{'__metadata__':{},'__metadata__':{}}"
            + "|the entry '__metadata__' is there twice, expected one entry per name",
        "{'a':{}}|dtype of tensor 'a' is missing, expected dtype, shape and data_offsets",
        "{'a':{'dtype':'U8','data_offsets':[0,0]}}"
            + "|shape of tensor 'a' is missing, expected dtype, shape and data_offsets",
        "{'a':{'dtype':'U8','shape':[0]}}"
            + "|data_offsets of tensor 'a' is missing, expected dtype, shape and data_offsets",
        "{'a':{'dtype':'U8','dtype':'U8'}}"
            + "|dtype of tensor 'a' is there twice, expected one dtype",
        "{'a':{'shape':[],'shape':[]}}|shape of tensor 'a' is there twice, expected one shape",
        "{'a':{'strides':[1]}}"
            + "|a field of tensor 'a' is 'strides', expected dtype, shape or data_offsets",
        "{'a':{'dtype':'F33'}}|dtype of tensor 'a' is 'F33', expected one of " + TYPES,
        "{'a':{'dtype':null}}|dtype of tensor 'a' is null, expected one of " + TYPES,
        "{'a':{'shape':4}}|shape of tensor 'a' is 4, expected an array of integers",
        "{'a':{'shape':[2,-1]}}"
            + "|an entry in shape of tensor 'a' is -1, expected an integer from 0 to 2^63 - 1",
        "{'a':{'shape':[1.5]}}"
            + "|an entry in shape of tensor 'a' is 1.5, expected an integer from 0 to 2^63 - 1",
        "{'a':{'shape':['1']}}"
            + "|an entry in shape of tensor 'a' is '1', expected an integer from 0 to 2^63 - 1",
        "{'a':{'shape':[9223372036854775808]}}"
            + "|an entry in shape of tensor 'a' is 9223372036854775808,"
            + " expected an integer from 0 to 2^63 - 1",
        "{'a':{'data_offsets':{}}}"
            + "|data_offsets of tensor 'a' is an object, expected an array of integers",
        "{'a':{'data_offsets':[-4,0]}}"
            + "|an entry in data_offsets of tensor 'a' is -4,"
            + " expected an integer from 0 to 2^63 - 1",
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0]}}"
            + "|data_offsets of tensor 'a' is [0], expected [begin, end] with begin <= end",
        "{'a':{'dtype':'U8','shape':[4],'data_offsets':[4,0]}}"
            + "|data_offsets of tensor 'a' is [4, 0], expected [begin, end] with begin <= end",
        "{'a':{'dtype':'U8','shape':[9],'data_offsets':[0,9]}}"
            + "|data_offsets of tensor 'a' is [0, 9],"
            + " expected an end within the 8 bytes after the header",
        "{'a':{'dtype':'F32','shape':[2147483648,2147483648],'data_offsets':[0,8]}}"
            + "|shape of tensor 'a' is [2147483648, 2147483648],"
            + " expected fewer than 2^63 bytes in all",
        "{'a':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}}"
            + "|data_offsets of tensor 'a' is [0, 8], expected 12 bytes for F32 [3]",
        "{'a':{'dtype':'U8','shape':[8],'data_offsets':[0,8]},"
            + "'b':{'dtype':'U8','shape':[4],'data_offsets':[4,8]}}"
            + "|tensor 'b' is overlapping the one before it at 4, expected at 8",
        "{'a':{'dtype':'U8','shape':[8],'data_offsets':[0,8]},"
            + "'b':{'dtype':'U8','shape':[0],'data_offsets':[4,4]}}"
            + "|tensor 'b' is overlapping the one before it at 4, expected at 8",
        "{'a':{'dtype':'U8','shape':[2],'data_offsets':[0,2]},"
            + "'b':{'dtype':'U8','shape':[4],'data_offsets':[4,8]}}"
            + "|tensor 'b' is behind a gap at 4, expected at 2",
        "{'a':{'dtype':'U8','shape':[6],'data_offsets':[0,6]}}"
            + "|its data is 8 bytes, expected 6 bytes as its tensors have",
        "{}|its data is 8 bytes, expected 0 bytes as its tensors have",
      })
  void aHeaderThatIsWrong(String header, String problem) throws IOException {
    assertInvalid(file(header, 8), problem);
  }

  @Test
  void aNameThatIsThereTwice() throws IOException {
    String tensor = "'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0]}";
    assertInvalid(
        file("{" + tensor + "," + tensor + "}", 0),
        "the entry 'a' is there twice, expected one entry per name");
  }

  @Test
  void aHostileNameStaysOneShortLine() throws IOException {
    assertInvalid(
        file("{'a\\n\\u001b" + "x".repeat(1000) + "':1}", 0),
        "tensor 'a "
            + "x".repeat(78)
            + "…' is 1,"
            + " expected an object with dtype, shape and data_offsets");
  }

  @Test
  void whatIsNotAFile() {
    Path absent = new Path(folder.resolve("none.safetensors").toString());
    assertThatThrownBy(() -> SafetensorsFile.open(absent, conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot read '"
                + absent
                + "': no such file, or no right to read it, expected a safetensors file; check the"
                + " path");
    Path directory = new Path(folder.toString());
    assertThatThrownBy(() -> SafetensorsFile.open(directory, conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Cannot read '"
                + directory
                + "': it is a folder, expected a safetensors file; name the file");
    Path elsewhere = new Path("nowhere://host/in.safetensors");
    assertThatThrownBy(() -> SafetensorsFile.open(elsewhere, conf))
        .isInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith("Cannot read '" + elsewhere + "': No FileSystem for scheme");
  }

  @Test
  void readsNamesShapesAndOffsetsInFileOrder() throws IOException {
    String header =
        "{'__metadata__':{'format':'pt'},"
            + "'z':{'data_offsets':[0,12],'shape':[1,3],'dtype':'F32'},"
            + "'a':{'dtype':'I64','shape':[],'data_offsets':[12,20]},"
            + "'e':{'dtype':'F16','shape':[4,0,2],'data_offsets':[12,12]}}  ";
    SafetensorsFile file = SafetensorsFile.open(file(header, 20), conf);
    long begin = 8 + header.length();
    assertThat(file.tensors().values())
        .containsExactly(
            new Tensor("z", DataType.F32, List.of(1L, 3L), begin, 12),
            new Tensor("e", DataType.F16, List.of(4L, 0L, 2L), begin + 12, 0),
            new Tensor("a", DataType.I64, List.of(), begin + 12, 8));
    assertThat(file.tensor("z").elements()).isEqualTo(3);
    assertThat(file.tensor("z").rank()).isEqualTo(2);
    assertThat(file.tensor("e").elements()).isZero();
    assertThat(file.tensor("a").elements()).isOne();
    assertThat(file.has("query")).isFalse();
    assertThatThrownBy(() -> file.tensor("query"))
        .isInstanceOf(InvalidInputException.class)
        .hasMessage(
            "Missing tensor 'query' in '" + file.name() + "': found 'a', 'e', 'z'; add the tensor");
  }

  @Test
  void aFileWithoutTensorsSaysSo() throws IOException {
    SafetensorsFile file = SafetensorsFile.open(file("{}", 0), conf);
    assertThatThrownBy(() -> file.tensor("key")).hasMessageContaining(": found no tensors;");
  }

  @Test
  void travelsToAnotherProcess() throws Exception {
    String header = "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}";
    SafetensorsFile file = SafetensorsFile.open(file(header, 8), conf);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(file);
    }
    SafetensorsFile copy;
    try (ObjectInputStream in =
        new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      copy = (SafetensorsFile) in.readObject();
    }
    assertThat(copy.tensors()).isEqualTo(file.tensors());
    assertThat(copy.path()).isEqualTo(file.path());
    try (FSDataInputStream in = copy.openStream(conf)) {
      float[] values = {1, 1};
      copy.read(in, copy.tensor("a"), 0, values, 0, 2);
      assertThat(values).containsExactly(0, 0);
    }
  }

  @Test
  void aFileCutShortAfterItsHeaderWasRead() throws IOException {
    String header = "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}";
    Path path = file(header, 8);
    SafetensorsFile file = SafetensorsFile.open(path, conf);
    file(header, 4);
    try (FSDataInputStream in = file.openStream(conf)) {
      assertThatThrownBy(() -> file.read(in, file.tensor("a"), 0, new float[2], 0, 2))
          .isInstanceOf(InvalidInputException.class)
          .hasMessageStartingWith("Cannot read tensor 'a' of '" + path + "': the file ends early");
    }
  }

  @Test
  void refusesElementsThatTheTensorDoesNotHave() throws IOException {
    String header = "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}";
    SafetensorsFile file = SafetensorsFile.open(file(header, 8), conf);
    try (FSDataInputStream in = file.openStream(conf)) {
      assertThatThrownBy(() -> file.read(in, file.tensor("a"), 1, new float[2], 0, 2))
          .isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void elementsLieBeyondTwoGibibytes() throws IOException {
    SafetensorsFile any = SafetensorsFile.open(file("{}", 0), conf);
    long begin = 5L << 30;
    Tensor tensor = new Tensor("t", DataType.F32, List.of(1L << 32), begin, 1L << 34);
    GrowingStream stream = new GrowingStream(new byte[0]);
    long first = (3L << 30) + 5;
    float[] values = new float[600_000];
    any.read(new FSDataInputStream(stream), tensor, first, values, 1, values.length - 1);
    for (int i = 1; i < values.length; i++) {
      assertThat(Float.floatToRawIntBits(values[i]))
          .isEqualTo((int) ((begin + 4 * (first + i - 1)) / 4));
    }
    assertThat(values[0]).isZero();
    // Whole pieces of 1 MiB, not elements.
    assertThat(stream.requests).isEqualTo(3);
  }

  /** A stream without end: given bytes first, then every four bytes hold their own offset / 4. */
  private static final class GrowingStream extends FSInputStream {
    private final byte[] first;
    private int requests;

    GrowingStream(byte[] first) {
      this.first = first;
    }

    @Override
    public int read(long position, byte[] target, int offset, int length) {
      requests++;
      for (int i = 0; i < length; i++) {
        long at = position + i;
        target[offset + i] =
            at < first.length ? first[(int) at] : (byte) ((at / 4) >>> (8 * (at % 4)));
      }
      return length;
    }

    @Override
    public int read() {
      throw new UnsupportedOperationException();
    }

    @Override
    public void seek(long position) {
      throw new UnsupportedOperationException();
    }

    @Override
    public long getPos() {
      return 0;
    }

    @Override
    public boolean seekToNewSource(long targetPosition) {
      return false;
    }
  }
}

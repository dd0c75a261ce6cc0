package io.sparkattention.driver.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.SafetensorsFile.Tensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FSDataInputStream;

/** Reads the header of a safetensors file and believes none of it before it is checked. */
final class SafetensorsHeader {
  /** The length of the header's length, the file's first eight bytes. */
  static final int LENGTH_BYTES = Long.BYTES;

  /** The format's own limit, in bytes. */
  static final int MAX_HEADER_BYTES = 100_000_000;

  static final String METADATA = "__metadata__";

  private static final int CHARACTERS_SHOWN = 80;

  /** An object of objects of arrays, and no deeper. */
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .streamReadConstraints(
              StreamReadConstraints.builder()
                  .maxNestingDepth(3)
                  .maxStringLength(MAX_HEADER_BYTES)
                  .build())
          .build();

  private final String path;
  private final long dataBegin;
  private final long dataBytes;
  private final List<Tensor> tensors = new ArrayList<>();
  private final Set<String> names = new HashSet<>();

  private SafetensorsHeader(String path, long dataBegin, long fileBytes) {
    this.path = path;
    this.dataBegin = dataBegin;
    this.dataBytes = fileBytes - dataBegin;
  }

  /** Reads and checks the header of a file of {@code fileBytes} bytes. */
  static SafetensorsHeader read(String path, FSDataInputStream in, long fileBytes)
      throws IOException {
    if (fileBytes < LENGTH_BYTES) {
      throw invalid(path, "its size in bytes", fileBytes, "at least " + LENGTH_BYTES);
    }
    ByteBuffer length = ByteBuffer.allocate(LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    in.readFully(0, length.array());
    // Unsigned in the file: what is negative here is larger than any file.
    long headerBytes = length.getLong();
    if (headerBytes < 0 || headerBytes > fileBytes - LENGTH_BYTES) {
      throw invalid(
          path,
          "its header's length",
          Long.toUnsignedString(headerBytes),
          "at most the " + (fileBytes - LENGTH_BYTES) + " bytes that follow");
    }
    if (headerBytes > MAX_HEADER_BYTES) {
      throw invalid(path, "its header's length", headerBytes, "at most " + MAX_HEADER_BYTES);
    }
    byte[] json = new byte[(int) headerBytes];
    in.readFully(LENGTH_BYTES, json);
    SafetensorsHeader header = new SafetensorsHeader(path, LENGTH_BYTES + headerBytes, fileBytes);
    header.parse(json);
    header.checkThatNothingOverlapsAndAllIsCovered();
    return header;
  }

  /** The tensors in the order in which they lie in the file. */
  List<Tensor> tensors() {
    return tensors;
  }

  private void parse(byte[] json) throws IOException {
    String text;
    try {
      text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(json)).toString();
    } catch (CharacterCodingException e) {
      throw invalid(path, "its header", "not UTF-8", "JSON in UTF-8");
    }
    try (JsonParser parser = JSON.createParser(text)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw invalid(path, "its header", shown(parser), "a JSON object of tensors");
      }
      while (parser.nextToken() != JsonToken.END_OBJECT) {
        String name = parser.currentName();
        parser.nextToken();
        if (!names.add(name)) {
          throw invalid(path, "the entry " + quoted(name), "there twice", "one entry per name");
        }
        if (name.equals(METADATA)) {
          parseMetadata(parser);
        } else {
          tensors.add(parseTensor(quoted(name), name, parser));
        }
      }
      if (parser.nextToken() != null) {
        throw invalid(path, "what follows the header's object", shown(parser), "spaces only");
      }
    } catch (JsonProcessingException e) {
      // The place is enough: the parser's own words speak of its sources and settings.
      long character = e.getLocation() == null ? 0 : e.getLocation().getCharOffset();
      throw invalid(
          path, "its header", "not JSON at character " + character, "a JSON object of tensors");
    }
  }

  private void parseMetadata(JsonParser parser) throws IOException {
    String expected = "an object of strings";
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      throw invalid(path, METADATA, shown(parser), expected);
    }
    Set<String> keys = new HashSet<>();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String key = parser.currentName();
      if (!keys.add(key)) {
        throw invalid(
            path, METADATA + " entry " + quoted(key), "there twice", "one entry per name");
      }
      if (parser.nextToken() != JsonToken.VALUE_STRING) {
        throw invalid(path, METADATA + " entry " + quoted(key), shown(parser), "a string");
      }
    }
  }

  private Tensor parseTensor(String what, String name, JsonParser parser) throws IOException {
    String tensor = "tensor " + what;
    if (parser.currentToken() != JsonToken.START_OBJECT) {
      throw invalid(path, tensor, shown(parser), "an object with dtype, shape and data_offsets");
    }
    DataType type = null;
    List<Long> shape = null;
    List<Long> offsets = null;
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String field = parser.currentName();
      parser.nextToken();
      Object before =
          switch (field) {
            case "dtype" -> type;
            case "shape" -> shape;
            case "data_offsets" -> offsets;
            default ->
                throw invalid(
                    path, "a field of " + tensor, quoted(field), "dtype, shape or data_offsets");
          };
      if (before != null) {
        throw invalid(path, field + " of " + tensor, "there twice", "one " + field);
      }
      switch (field) {
        case "dtype" -> type = parseType(tensor, parser);
        case "shape" -> shape = parseSizes("shape of " + tensor, parser);
        default -> offsets = parseSizes("data_offsets of " + tensor, parser);
      }
    }
    if (type == null || shape == null || offsets == null) {
      String missing = type == null ? "dtype" : shape == null ? "shape" : "data_offsets";
      throw invalid(path, missing + " of " + tensor, "missing", "dtype, shape and data_offsets");
    }
    return located(tensor, name, type, shape, offsets);
  }

  private DataType parseType(String tensor, JsonParser parser) throws IOException {
    if (parser.currentToken() == JsonToken.VALUE_STRING) {
      String found = parser.getText();
      for (DataType type : DataType.values()) {
        if (type.name().equals(found)) {
          return type;
        }
      }
    }
    String known =
        Arrays.stream(DataType.values()).map(DataType::name).collect(Collectors.joining(", "));
    throw invalid(path, "dtype of " + tensor, shown(parser), "one of " + known);
  }

  private List<Long> parseSizes(String what, JsonParser parser) throws IOException {
    if (parser.currentToken() != JsonToken.START_ARRAY) {
      throw invalid(path, what, shown(parser), "an array of integers");
    }
    List<Long> sizes = new ArrayList<>();
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      boolean integer =
          parser.currentToken() == JsonToken.VALUE_NUMBER_INT
              && parser.getNumberType() != JsonParser.NumberType.BIG_INTEGER;
      if (!integer || parser.getLongValue() < 0) {
        throw invalid(path, "an entry in " + what, shown(parser), "an integer from 0 to 2^63 - 1");
      }
      sizes.add(parser.getLongValue());
    }
    return sizes;
  }

  private Tensor located(
      String tensor, String name, DataType type, List<Long> shape, List<Long> offsets) {
    String what = "data_offsets of " + tensor;
    if (offsets.size() != 2 || offsets.get(0) > offsets.get(1)) {
      throw invalid(path, what, shortened(offsets.toString()), "[begin, end] with begin <= end");
    }
    long begin = offsets.get(0);
    long end = offsets.get(1);
    if (end > dataBytes) {
      throw invalid(
          path, what, offsets, "an end within the " + dataBytes + " bytes after the header");
    }
    long bytes = type.bytes();
    try {
      for (long size : shape) {
        bytes = Math.multiplyExact(bytes, size);
      }
    } catch (ArithmeticException e) {
      throw invalid(
          path, "shape of " + tensor, shortened(shape.toString()), "fewer than 2^63 bytes in all");
    }
    if (bytes != end - begin) {
      String expected = bytes + " bytes for " + type + " " + shortened(shape.toString());
      throw invalid(path, what, offsets, expected);
    }
    return new Tensor(name, type, shape, dataBegin + begin, bytes);
  }

  private void checkThatNothingOverlapsAndAllIsCovered() {
    tensors.sort(Comparator.comparingLong(Tensor::begin).thenComparingLong(Tensor::bytes));
    long end = dataBegin;
    for (Tensor tensor : tensors) {
      if (tensor.begin() != end) {
        String what = "tensor " + quoted(tensor.name());
        String found = tensor.begin() < end ? "overlapping the one before it" : "behind a gap";
        throw invalid(
            path, what, found + " at " + (tensor.begin() - dataBegin), "at " + (end - dataBegin));
      }
      end += tensor.bytes();
    }
    if (end != dataBegin + dataBytes) {
      long covered = end - dataBegin;
      throw invalid(path, "its data", dataBytes + " bytes", covered + " bytes as its tensors have");
    }
  }

  private static InvalidInputException invalid(
      String path, String what, Object found, String expected) {
    return new InvalidInputException(
        "Invalid safetensors file '"
            + path
            + "': "
            + what
            + " is "
            + found
            + ", expected "
            + expected
            + "; export the file again");
  }

  private static String shown(JsonParser parser) throws IOException {
    JsonToken token = parser.currentToken();
    if (token == null) {
      return "empty";
    }
    return switch (token) {
      case START_OBJECT -> "an object";
      case START_ARRAY -> "an array";
      case VALUE_STRING -> quoted(parser.getText());
      default -> shortened(parser.getText());
    };
  }

  /** A name from a file in quotes, fit for one line of a message. */
  static String quoted(String name) {
    return "'" + shortened(name) + "'";
  }

  private static String shortened(String text) {
    String printable = text.replaceAll("\\p{Cntrl}+", " ");
    return printable.length() <= CHARACTERS_SHOWN
        ? printable
        : printable.substring(0, CHARACTERS_SHOWN) + "…";
  }
}

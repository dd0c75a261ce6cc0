package io.sparkattention.driver.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.DataType;
import io.sparkattention.driver.io.SafetensorsWriter;
import io.sparkattention.driver.io.SafetensorsWriter.Declaration;
import io.sparkattention.driver.io.StagedOutput;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Enumeration;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipException;
import java.util.zip.ZipFile;
import org.apache.hadoop.conf.Configuration;

/**
 * Makes a folder in Hugging Face's layout out of a BERT encoder in ONNX: {@code config.json},
 * {@code model.safetensors}, {@code tokenizer.json}, and {@code source.json} with the SHA-256 of
 * the file that it came from. The numbers are those of the ONNX file, to the bit.
 */
public final class ModelImport {
  private ModelImport() {}

  /**
   * Imports a model.
   *
   * @param source an ONNX file with a {@code *tokenizer.json} beside it, or a JAR that holds one of
   *     each
   * @param output a folder that appears whole or not at all
   * @throws InvalidInputException if a file is missing or damaged, the model is no BERT encoder, or
   *     the output exists and must not be replaced
   */
  public static BertConfig run(Path source, String output, boolean overwrite) throws IOException {
    if (!Files.isRegularFile(source)) {
      throw new InvalidInputException(
          "Cannot import '%s': no such file; name an ONNX file or a JAR with one"
              .formatted(source));
    }
    Path unpacked = Files.createTempDirectory("import-model");
    try {
      boolean jar = source.toString().endsWith(".jar");
      if (jar) {
        unpack(source, unpacked);
      }
      ModelFolder folder = ModelFolder.at(jar ? unpacked.toString() : parent(source).toString());
      Path onnx = jar ? folder.onnx().orElseThrow(() -> without(source)) : source;
      ModelWeights weights = OnnxWeights.read(onnx);
      BertConfig config = BertModel.of(weights).config();
      byte[] tokenizer = TextTokenizer.bytes(folder);
      Configuration hadoop = new Configuration();
      try (StagedOutput staged = new StagedOutput(output, overwrite, hadoop)) {
        org.apache.hadoop.fs.Path target = new org.apache.hadoop.fs.Path(staged.path());
        writeTensors(weights, new org.apache.hadoop.fs.Path(target, "model.safetensors"), hadoop);
        write(target, "config.json", json(configuration(config, weights)), hadoop);
        write(target, "tokenizer.json", tokenizer, hadoop);
        Map<String, Object> origin = new LinkedHashMap<>();
        origin.put("file", source.getFileName().toString());
        origin.put("sha256", sha256(source));
        write(target, "source.json", json(origin), hadoop);
        staged.commit();
      }
      return config;
    } finally {
      delete(unpacked);
    }
  }

  private static Path parent(Path file) {
    return file.toAbsolutePath().normalize().getParent();
  }

  private static InvalidInputException without(Path jar) {
    return new InvalidInputException(
        "Cannot import '%s': found no .onnx file in it, expected one".formatted(jar));
  }

  /** The files of the JAR that make a model, without their folders. */
  private static void unpack(Path jar, Path folder) throws IOException {
    try (ZipFile zip = new ZipFile(jar.toFile())) {
      for (Enumeration<? extends ZipEntry> all = zip.entries(); all.hasMoreElements(); ) {
        ZipEntry entry = all.nextElement();
        String name = entry.getName().substring(entry.getName().lastIndexOf('/') + 1);
        if (name.endsWith(".onnx") || name.endsWith("tokenizer.json")) {
          try (InputStream in = zip.getInputStream(entry)) {
            Files.copy(in, folder.resolve(name));
          }
        }
      }
    } catch (ZipException e) {
      throw new InvalidInputException(
          "Cannot import '%s': %s; expected a JAR".formatted(jar, e.getMessage()), e);
    }
  }

  private static void writeTensors(
      ModelWeights weights, org.apache.hadoop.fs.Path file, Configuration hadoop) {
    SafetensorsWriter writer =
        new SafetensorsWriter(
            BertModel.tensors(weights).stream()
                .map(name -> new Declaration(name, DataType.F32, shape(weights, name)))
                .toList());
    writer.write(
        file,
        hadoop,
        false,
        writer.tensors().stream().map(tensor -> bytes(weights.data(tensor.name()))).iterator());
  }

  private static List<Long> shape(ModelWeights weights, String name) {
    return Arrays.stream(weights.shape(name)).asLongStream().boxed().toList();
  }

  private static ByteBuffer bytes(float[] values) {
    ByteBuffer bytes =
        ByteBuffer.allocate(Math.multiplyExact(values.length, Float.BYTES))
            .order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    return bytes;
  }

  /** In the words of Hugging Face's BertConfig. */
  private static Map<String, Object> configuration(BertConfig config, ModelWeights weights) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("architectures", List.of("BertModel"));
    json.put("model_type", "bert");
    json.put("vocab_size", config.vocabulary());
    json.put("hidden_size", config.hidden());
    json.put("num_hidden_layers", config.layers());
    json.put("num_attention_heads", config.numHeads());
    json.put("intermediate_size", config.intermediate());
    json.put("max_position_embeddings", config.positions());
    json.put("type_vocab_size", weights.axis("embeddings.token_type_embeddings.weight", 0));
    json.put("hidden_act", "gelu");
    json.put("layer_norm_eps", 1e-12);
    json.put("torch_dtype", "float32");
    return json;
  }

  private static byte[] json(Map<String, Object> content) throws IOException {
    return new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsBytes(content);
  }

  private static void write(
      org.apache.hadoop.fs.Path folder, String name, byte[] content, Configuration hadoop)
      throws IOException {
    org.apache.hadoop.fs.Path file = new org.apache.hadoop.fs.Path(folder, name);
    try (OutputStream out = file.getFileSystem(hadoop).create(file, false)) {
      out.write(content);
    }
  }

  private static String sha256(Path file) throws IOException {
    try (DigestInputStream in =
        new DigestInputStream(Files.newInputStream(file), MessageDigest.getInstance("SHA-256"))) {
      in.transferTo(OutputStream.nullOutputStream());
      return HexFormat.of().formatHex(in.getMessageDigest().digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every JVM has SHA-256", e);
    }
  }

  private static void delete(Path folder) throws IOException {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(folder)) {
      for (Path file : files) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
  }
}

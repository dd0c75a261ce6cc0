package io.sparkattention.jobs;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.sparkattention.driver.AttentionConfig;
import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.io.StagedOutput;
import io.sparkattention.driver.io.TextFile;
import io.sparkattention.driver.model.ModelFolder;
import io.sparkattention.driver.model.TranslationModel;
import io.sparkattention.driver.model.TranslationVocabulary;
import io.sparkattention.driver.model.Translations;
import io.sparkattention.driver.model.Translations.Sentence;
import io.sparkattention.driver.model.Translator.Translation;
import io.sparkattention.partitioning.BlockGrid;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Translates lines with a trained encoder-decoder, or scores given translations. */
@Command(
    name = "translate",
    description = "Translate lines with a trained encoder-decoder, or score given translations.")
final class TranslateCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      description = "A model's folder in Hugging Face's layout (M2M100).")
  private String model;

  @Option(
      names = "--input",
      required = true,
      description = "A UTF-8 file, one source per line, tokens separated by spaces.")
  private String input;

  @Option(
      names = "--target",
      description = "A file of given translations, line by line: scored, none is made.")
  private String target;

  @Option(
      names = "--max-tokens",
      defaultValue = "256",
      description = "Where a translation is cut off (default: ${DEFAULT-VALUE}).")
  private int maxTokens;

  @Option(names = "--output", required = true, description = "A JSON file.")
  private String output;

  @Option(names = "--overwrite", description = "Replace an existing output.")
  private boolean overwrite;

  @Override
  public Integer call() throws Exception {
    if (maxTokens < 1) {
      throw new InvalidInputException(
          "Invalid --max-tokens: found '%d', expected a whole number from 1".formatted(maxTokens));
    }
    ModelFolder folder = ModelFolder.at(model);
    TranslationModel weights = TranslationModel.load(folder);
    TranslationVocabulary vocabulary = TranslationVocabulary.read(folder);
    SparkSession spark = Sessions.open("translate");
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    AttentionConfig config = AttentionConfig.resolve(Map.of(), spark.sparkContext().conf());
    try (StagedOutput staged = new StagedOutput(output, overwrite, hadoop)) {
      List<String> sources = lines("input", input, hadoop);
      List<Sentence> sentences = sentences(sources, vocabulary, hadoop);
      List<Translation> results =
          Translations.of(
              spark, weights, new BlockGrid(config.blockTokens()), sentences, maxTokens);
      List<Map<String, Object>> json = new ArrayList<>();
      for (int i = 0; i < results.size(); i++) {
        json.add(json(sources.get(i), results.get(i), weights, vocabulary));
      }
      Path file = new Path(staged.path());
      try (OutputStream out = file.getFileSystem(hadoop).create(file)) {
        out.write(new ObjectMapper().writeValueAsBytes(json));
      }
      staged.commit();
      spec.commandLine().getOut().printf("%s: %,d lines%n", output, results.size());
    }
    return 0;
  }

  private static List<String> lines(String what, String file, Configuration hadoop) {
    return new TextFile(what, file).read(hadoop).lines().toList();
  }

  private List<Sentence> sentences(
      List<String> sources, TranslationVocabulary vocabulary, Configuration hadoop) {
    List<String> targets = target == null ? null : lines("target", target, hadoop);
    if (targets != null && targets.size() != sources.size()) {
      throw new InvalidInputException(
          "Cannot score '%s': found %d lines, expected the %d of '%s'; give one per source"
              .formatted(target, targets.size(), sources.size(), input));
    }
    List<Sentence> sentences = new ArrayList<>();
    for (int i = 0; i < sources.size(); i++) {
      int[] source = vocabulary.source(sources.get(i), "'%s', line %d".formatted(input, i + 1));
      if (source.length == 0) {
        throw new InvalidInputException(
            "Cannot translate '%s', line %d: found no tokens, expected at least one; remove the line"
                .formatted(input, i + 1));
      }
      int[] given =
          targets == null
              ? null
              : vocabulary.target(targets.get(i), "'%s', line %d".formatted(target, i + 1));
      sentences.add(new Sentence(source, given));
    }
    return sentences;
  }

  /** Of the token that ends a translation there are log-probability and alignment, no text. */
  private static Map<String, Object> json(
      String source, Translation result, TranslationModel model, TranslationVocabulary vocabulary) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("source", source.strip().split("\\s+"));
    json.put(
        "tokens",
        Arrays.stream(result.tokens())
            .filter(token -> token != model.endToken())
            .mapToObj(vocabulary::targetToken)
            .toList());
    json.put("log_probs", result.logProbs());
    json.put("alignment", result.alignment());
    return json;
  }
}

package io.sparkattention.jobs.scale;

import io.sparkattention.driver.InvalidInputException;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.function.Function;
import org.apache.commons.text.similarity.LevenshteinDistance;

/** An experiment file as text by setting: Java properties in UTF-8. */
final class ExperimentText {
  /** What an experiment file may hold, by the names that it uses. */
  enum Setting {
    TITLE("title"),
    LENGTHS("lengths"),
    HEADS("heads"),
    KEY_VALUE_HEADS("keyValueHeads"),
    HEAD_DIM("headDim"),
    MASKS("masks"),
    EXCHANGES("exchanges"),
    ASSIGNMENTS("assignments"),
    SHARDS("shards"),
    REPETITIONS("repetitions"),
    WARM_UPS("warmUps"),
    BLOCK_TOKENS("blockTokens"),
    KEY_VALUE_TYPE("keyValueType"),
    SEED("seed");

    private final String text;

    Setting(String text) {
      this.text = text;
    }

    @Override
    public String toString() {
      return text;
    }
  }

  private final Path file;
  private final Map<Setting, String> texts = new EnumMap<>(Setting.class);

  private ExperimentText(Path file) {
    this.file = file;
  }

  /**
   * Reads a file.
   *
   * @throws InvalidInputException if it cannot be read, or a setting is unknown or there twice
   */
  static ExperimentText read(Path file) {
    ExperimentText result = new ExperimentText(file);
    // Properties would keep the last of two lines without a word.
    Set<String> twice = new LinkedHashSet<>();
    Properties properties =
        new Properties() {
          private static final long serialVersionUID = 1L;

          @Override
          public synchronized Object put(Object key, Object value) {
            if (containsKey(key)) {
              twice.add(key.toString());
            }
            return super.put(key, value);
          }
        };
    try {
      properties.load(new StringReader(Files.readString(file)));
    } catch (MalformedInputException e) {
      throw result.unreadable("found bytes that are no UTF-8, expected text", e);
    } catch (IOException e) {
      throw result.unreadable(e.toString(), e);
    } catch (IllegalArgumentException e) {
      throw result.unreadable(e.getMessage() + ", expected Java properties", e);
    }
    for (String key : twice) {
      throw new InvalidInputException(
          "Invalid setting '%s' in '%s': found it twice, expected it once; remove one"
              .formatted(key, file));
    }
    properties.stringPropertyNames().stream()
        .sorted()
        .forEach(key -> result.texts.put(result.setting(key), properties.getProperty(key).strip()));
    return result;
  }

  private InvalidInputException unreadable(String why, Exception e) {
    return new InvalidInputException(
        "Cannot read --experiment '%s': %s; check the path".formatted(file, why), e);
  }

  private Setting setting(String key) {
    return Arrays.stream(Setting.values())
        .filter(setting -> setting.text.equals(key))
        .findFirst()
        .orElseThrow(
            () ->
                new InvalidInputException(
                    "Unknown setting '%s' in '%s': did you mean '%s'?"
                        .formatted(key, file, nearest(key))));
  }

  private static Setting nearest(String key) {
    LevenshteinDistance distance = LevenshteinDistance.getDefaultInstance();
    return Arrays.stream(Setting.values())
        .min(Comparator.comparingInt(setting -> distance.apply(setting.text, key)))
        .orElseThrow();
  }

  /** The text of a setting, or what stands for an absent one. */
  String get(Setting setting, String absent) {
    return texts.getOrDefault(setting, absent);
  }

  /**
   * The elements of a list, each once.
   *
   * @param separator a regular expression
   * @param absent the list that stands for an absent one; null: it has to be there
   * @param parse throws IllegalArgumentException for what is no element
   */
  <T> List<T> list(
      Setting setting,
      String separator,
      String absent,
      Function<String, T> parse,
      String expected) {
    String text = get(setting, absent);
    if (text == null) {
      throw new InvalidInputException(
          "Missing setting '%s' in '%s': expected %s; add it".formatted(setting, file, expected));
    }
    Set<T> elements = new LinkedHashSet<>();
    for (String element : text.split(separator, -1)) {
      if (!elements.add(parse(setting, element.strip(), parse, expected))) {
        throw wrong(setting, element.strip() + "' twice, expected each once; remove one", null);
      }
    }
    return List.copyOf(elements);
  }

  /** One value. */
  <T> T value(Setting setting, String absent, Function<String, T> parse, String expected) {
    return parse(setting, get(setting, absent), parse, expected);
  }

  private <T> T parse(Setting setting, String text, Function<String, T> parse, String expected) {
    try {
      return parse.apply(text);
    } catch (IllegalArgumentException e) {
      throw wrong(setting, "%s', expected %s; correct it".formatted(text, expected), e);
    }
  }

  private InvalidInputException wrong(Setting setting, String rest, Exception cause) {
    return new InvalidInputException(
        "Invalid %s in '%s': found '%s".formatted(setting, file, rest), cause);
  }
}

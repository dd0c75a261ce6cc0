package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.SequenceShape;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;

/**
 * How many keys the sequences of a batch have: the past's and the file's own, or as many of the
 * file's own as {@code nonpad_kv_seqlen} [batch] says; the rest of them is padding.
 */
final class KeyCounts {
  static final String TENSOR = "nonpad_kv_seqlen";

  private final long past;
  private final long all;

  /** [batch], or null where there is no padding. */
  private final long[] unpadded;

  private KeyCounts(long past, long all, long[] unpadded) {
    this.past = past;
    this.all = all;
    this.unpadded = unpadded;
  }

  /**
   * Reads the tensor, where the file has it.
   *
   * @throws InvalidInputException if it does not fit the keys, or there is a past beside it
   */
  static KeyCounts read(SafetensorsFile file, PresentTensor key, Configuration conf) {
    if (!file.has(TENSOR)) {
      return new KeyCounts(key.pastTokens(), key.tokens(), null);
    }
    if (key.hasPast()) {
      throw new InvalidInputException(
          "Cannot use '%s' with 'past_key' and 'past_value' in '%s': expected one or the other; remove '%s' or the past"
              .formatted(TENSOR, file.name(), TENSOR));
    }
    SafetensorsFile.Tensor tensor = file.tensor(TENSOR);
    int batch = key.own().batch();
    if (tensor.rank() != 1 || tensor.size(0) != batch) {
      throw new InvalidInputException(
          "Invalid tensor '%s' in '%s': found shape %s, expected [%d], a number of keys for each sequence; correct its shape"
              .formatted(TENSOR, file.name(), tensor.shape(), batch));
    }
    long[] unpadded;
    try (FSDataInputStream in = file.openStream(conf)) {
      unpadded = file.readIntegers(in, tensor);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot close '" + file.path() + "'", e);
    }
    for (int b = 0; b < batch; b++) {
      if (unpadded[b] < 0 || unpadded[b] > key.tokens()) {
        throw new InvalidInputException(
            "Invalid %s of sequence '%d' in '%s': found %d, expected 0 to %d, the tokens of 'key'; correct it"
                .formatted(TENSOR, b, file.name(), unpadded[b], key.tokens()));
      }
    }
    return new KeyCounts(0, key.tokens(), unpadded);
  }

  /** An element of the batch as a sequence. */
  SequenceShape sequence(int b, long queries) {
    String id = Integer.toString(b);
    return unpadded == null
        ? new SequenceShape(id, 0, queries, all, past)
        : new SequenceShape(id, 0, queries, unpadded[b], unpadded[b] - queries);
  }
}

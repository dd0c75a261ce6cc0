package io.sparkattention.driver.io;

import io.sparkattention.driver.InvalidInputException;
import io.sparkattention.driver.exchange.PlacedKeyValues;
import io.sparkattention.driver.exchange.PlacedQueries;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.InvalidElementException;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.partitioning.Block;
import java.io.IOException;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.util.SerializableConfiguration;
import scala.Tuple2;

/** Reads blocks of a safetensors file on an executor, each time with a stream of its own. */
final class BlockReader implements Serializable {
  private static final long serialVersionUID = 1L;

  private final SafetensorsFile file;
  private final HeadLayout layout;
  private final Broadcast<SerializableConfiguration> conf;

  BlockReader(SafetensorsFile file, HeadLayout layout, JavaSparkContext context) {
    this.file = file;
    this.layout = layout;
    this.conf = context.broadcast(new SerializableConfiguration(context.hadoopConfiguration()));
  }

  SafetensorsFile file() {
    return file;
  }

  PlacedQueries queries(Block block, HeadTensor tensor, double scale) {
    QueryBlock.Packer packer = new QueryBlock.Packer(layout, block.tokens(), scale);
    pack(block, in -> tensor.read(file, in, block, packer::put));
    return new PlacedQueries(block, packer.pack());
  }

  PlacedKeyValues keyValues(
      Block block, PresentTensor keys, PresentTensor values, ElementType type) {
    // The executor reads and packs for longer than the kernel takes to compile.
    AttentionKernels.startWarmUp();
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(layout, block.tokens(), type);
    pack(block, in -> keys.read(file, in, block, packer::putKey));
    pack(block, in -> values.read(file, in, block, packer::putValue));
    return new PlacedKeyValues(block, packer.pack());
  }

  /** Pieces of a tensor of the output; see {@link PresentTensor#pieces}. */
  Stream<Tuple2<Long, byte[]>> pieces(Block block, PresentTensor tensor, long begin) {
    List<Tuple2<Long, byte[]>> pieces = new ArrayList<>();
    read(in -> pieces.addAll(tensor.pieces(file, in, block, begin)));
    return pieces.stream();
  }

  private void pack(Block block, Consumer<FSDataInputStream> rows) {
    try {
      read(rows);
    } catch (InvalidElementException e) {
      throw InvalidInputException.of(e, Integer.toString(block.sequence()), block.start());
    }
  }

  /** Lends a stream of the file. */
  void read(Consumer<FSDataInputStream> reader) {
    try (FSDataInputStream in = file.openStream(conf.value().value())) {
      reader.accept(in);
    } catch (IOException e) {
      throw new UncheckedIOException("Cannot close '" + file.path() + "'", e);
    }
  }
}

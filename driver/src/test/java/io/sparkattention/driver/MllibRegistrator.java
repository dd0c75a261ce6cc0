package io.sparkattention.driver;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import java.util.List;
import org.apache.spark.serializer.KryoRegistrator;
import org.apache.spark.util.Utils;

/** What MLlib's own stages send and Spark itself does not name to a strict Kryo. */
public final class MllibRegistrator implements KryoRegistrator {
  private static final List<String> CLASSES =
      List.of(
          "[Lorg.apache.spark.mllib.linalg.Vector;",
          "breeze.linalg.DenseVector$mcD$sp",
          "org.apache.spark.ml.stat.MultiClassSummarizer",
          "org.apache.spark.ml.stat.SummarizerBuffer",
          "org.apache.spark.mllib.feature.VocabWord",
          "org.apache.spark.mllib.feature.Word2VecModel",
          "[Lorg.apache.spark.mllib.feature.VocabWord;",
          "[Lorg.apache.spark.ml.feature.InstanceBlock;",
          "org.apache.spark.ml.feature.InstanceBlock",
          "org.apache.spark.ml.optim.aggregator.BinaryLogisticBlockAggregator");

  @Override
  public void registerClasses(Kryo kryo) {
    for (String name : CLASSES) {
      kryo.register(Utils.classForName(name, true, false), new JavaSerializer());
    }
  }
}

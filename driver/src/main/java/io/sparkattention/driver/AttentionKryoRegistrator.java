package io.sparkattention.driver;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.serializers.JavaSerializer;
import io.sparkattention.driver.exchange.VersionedSerializer;
import io.sparkattention.driver.io.BlockPiece;
import io.sparkattention.driver.ml.RowEncoder;
import io.sparkattention.driver.model.CausalDecoder;
import io.sparkattention.driver.model.DistributedEncoder;
import io.sparkattention.driver.model.FirstLayerLinks;
import io.sparkattention.driver.model.PassageRanking;
import io.sparkattention.driver.model.Passages;
import io.sparkattention.driver.model.TextProjection;
import io.sparkattention.driver.model.Translations;
import java.util.HashMap;
import org.apache.spark.serializer.KryoRegistrator;
import org.apache.spark.sql.types.StructType;

/**
 * Names every class that travels to Kryo, for {@code spark.kryo.registrator}; enough for {@code
 * spark.kryo.registrationRequired=true}.
 */
public final class AttentionKryoRegistrator implements KryoRegistrator {
  @Override
  public void registerClasses(Kryo kryo) {
    VersionedSerializer.registerAll(kryo);
    BlockPiece.register(kryo);
    TextProjection.register(kryo);
    CausalDecoder.register(kryo);
    DistributedEncoder.register(kryo);
    Translations.register(kryo);
    PassageRanking.register(kryo);
    RowEncoder.register(kryo);
    Passages.register(kryo);
    FirstLayerLinks.register(kryo);
    // The index of sequence ids.
    kryo.register(HashMap.class);
    // What Spark's Parquet reader sends back from its tasks: a schema, whose types are singletons
    // that Java serialization preserves.
    kryo.register(StructType.class, new JavaSerializer());
  }
}

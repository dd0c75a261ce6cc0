package io.sparkattention.driver.exchange;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.esotericsoftware.kryo.Kryo;
import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import io.sparkattention.driver.AttentionKryoRegistrator;
import io.sparkattention.driver.io.BlockPiece;
import io.sparkattention.kernels.AttentionKernels;
import io.sparkattention.kernels.AttentionState;
import io.sparkattention.kernels.ElementType;
import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.kernels.KeyValueBlock;
import io.sparkattention.kernels.QueryBlock;
import io.sparkattention.kernels.VisibleKeys;
import io.sparkattention.partitioning.Block;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class VersionedSerializerTest {
  private static final HeadLayout LAYOUT = new HeadLayout(4, 2, 24, 40);
  private static final Block BLOCK = new Block(3, 1L << 40, (1L << 40) + 37);

  private final Kryo kryo = new Kryo();

  @BeforeEach
  void register() {
    kryo.setRegistrationRequired(true);
    // So that the first byte of what is written is the version.
    kryo.setReferences(false);
    new AttentionKryoRegistrator().registerClasses(kryo);
  }

  static Stream<Object> whatTravels() {
    Random random = new Random(191);
    PlacedQueries queries = new PlacedQueries(BLOCK, queries(random));
    PlacedKeyValues keyValues = placed(ElementType.F32);
    return Stream.of(
        BLOCK,
        queries,
        keyValues,
        placed(ElementType.BF16),
        placed(ElementType.F16),
        new AttentionState(4, BLOCK.tokens(), 40),
        state(queries.queries(), keyValues.keyValues()),
        new AttentionRows(BLOCK, numbers(random, 37 * 4 * 40), numbers(random, 37 * 4)),
        new HeadRows(2, new AttentionRows(BLOCK, numbers(random, 37 * 40), numbers(random, 37))),
        new BlockPiece(5, new int[] {3, 1, 36}, numbers(random, 3 * 48), numbers(random, 3 * 80)),
        new BlockPiece(6, new int[] {0}, numbers(random, 96), new float[0]));
  }

  private static float[] numbers(Random random, int count) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    return numbers;
  }

  private static QueryBlock queries(Random random) {
    QueryBlock.Packer packer = new QueryBlock.Packer(LAYOUT, BLOCK.tokens(), 0.2);
    for (int head = 0; head < LAYOUT.numHeads(); head++) {
      for (int row = 0; row < BLOCK.tokens(); row++) {
        packer.put(head, row, numbers(random, LAYOUT.keyDim()), 0);
      }
    }
    return packer.pack();
  }

  private static PlacedKeyValues placed(ElementType type) {
    return new PlacedKeyValues(BLOCK, keyValues(new Random(192), type));
  }

  private static KeyValueBlock keyValues(Random random, ElementType type) {
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(LAYOUT, BLOCK.tokens(), type);
    for (int head = 0; head < LAYOUT.numKeyValueHeads(); head++) {
      for (int row = 0; row < BLOCK.tokens(); row++) {
        packer.putKey(head, row, numbers(random, LAYOUT.keyDim()), 0);
        packer.putValue(head, row, numbers(random, LAYOUT.valueDim()), 0);
      }
    }
    return packer.pack();
  }

  private static AttentionState state(QueryBlock queries, KeyValueBlock keyValues) {
    AttentionState state = new AttentionState(4, queries.rows(), 40);
    VisibleKeys all = VisibleKeys.all();
    AttentionKernels.auto().kernel().fold(queries, keyValues, all, state);
    return state;
  }

  private byte[] written(Object object) {
    Output out = new Output(100, -1);
    kryo.writeObject(out, object);
    return out.toBytes();
  }

  @ParameterizedTest
  @MethodSource("whatTravels")
  void returnsAsItWent(Object object) {
    Input in = new Input(written(object));
    Object found = kryo.readObject(in, object.getClass());
    assertThat(found).usingRecursiveComparison().isEqualTo(object);
    assertThat(in.eof()).isTrue();
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void sixteenBitsAreHalfTheBytes(ElementType type) {
    PlacedKeyValues half = placed(type);
    PlacedKeyValues whole = placed(ElementType.F32);
    assertThat(2 * half.bytes()).isEqualTo(whole.bytes());
    assertThat(written(whole).length - written(half).length).isEqualTo((int) half.bytes());
  }

  @ParameterizedTest
  @MethodSource("whatTravels")
  void anotherVersionIsRefused(Object object) {
    byte[] bytes = written(object);
    bytes[0]++;
    assertThatThrownBy(() -> kryo.readObject(new Input(bytes), object.getClass()))
        .isInstanceOf(KryoException.class)
        .hasMessage(
            "Cannot read %s of version 4: expected 3; use one spark-attention.jar everywhere"
                .formatted(object.getClass().getSimpleName()));
  }
}

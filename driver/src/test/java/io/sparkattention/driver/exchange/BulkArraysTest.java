package io.sparkattention.driver.exchange;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.esotericsoftware.kryo.KryoException;
import com.esotericsoftware.kryo.io.Input;
import com.esotericsoftware.kryo.io.Output;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class BulkArraysTest {
  private static final int BUFFER_BYTES = 64 << 10;
  private static final long SEED = 181;

  /** Smaller than ours, so that Kryo empties it in the middle. */
  private final Output out = new Output(1_000, -1);

  static IntStream intSizes() {
    return sizes(Integer.BYTES);
  }

  static IntStream shortSizes() {
    return sizes(Short.BYTES);
  }

  static IntStream doubleSizes() {
    return sizes(Double.BYTES);
  }

  private static IntStream sizes(int elementBytes) {
    int full = BUFFER_BYTES / elementBytes;
    return IntStream.of(0, 1, full - 1, full, full + 1, 2 * full, 2 * full + 1);
  }

  private Input written(int bytes) {
    assertThat(out.total()).isEqualTo(bytes);
    return new Input(out.toBytes());
  }

  /** Any bits, NaN with payloads among them. */
  @ParameterizedTest
  @MethodSource("intSizes")
  void floats(int size) {
    int[] bits = new Random(SEED).ints(size).toArray();
    float[] array = new float[size];
    for (int i = 0; i < size; i++) {
      array[i] = Float.intBitsToFloat(bits[i]);
    }
    BulkArrays.writeFloats(out, array);
    Input in = written(Integer.BYTES + size * Float.BYTES);
    float[] found = BulkArrays.readFloats(in);
    int[] foundBits =
        IntStream.range(0, found.length).map(i -> Float.floatToRawIntBits(found[i])).toArray();
    assertThat(foundBits).as("seed %d", SEED).isEqualTo(bits);
    assertThat(in.eof()).isTrue();
  }

  @ParameterizedTest
  @MethodSource("doubleSizes")
  void doubles(int size) {
    long[] bits = new Random(SEED).longs(size).toArray();
    double[] array = LongStream.of(bits).mapToDouble(Double::longBitsToDouble).toArray();
    BulkArrays.writeDoubles(out, array);
    Input in = written(Integer.BYTES + size * Double.BYTES);
    double[] found = BulkArrays.readDoubles(in);
    long[] foundBits =
        IntStream.range(0, found.length)
            .mapToLong(i -> Double.doubleToRawLongBits(found[i]))
            .toArray();
    assertThat(foundBits).as("seed %d", SEED).isEqualTo(bits);
    assertThat(in.eof()).isTrue();
  }

  @ParameterizedTest
  @MethodSource("intSizes")
  void ints(int size) {
    int[] array = new Random(SEED).ints(size).toArray();
    BulkArrays.writeInts(out, array);
    Input in = written(Integer.BYTES + size * Integer.BYTES);
    assertThat(BulkArrays.readInts(in)).as("seed %d", SEED).isEqualTo(array);
    assertThat(in.eof()).isTrue();
  }

  @ParameterizedTest
  @MethodSource("shortSizes")
  void shorts(int size) {
    short[] array = new short[size];
    Random random = new Random(SEED);
    for (int i = 0; i < size; i++) {
      array[i] = (short) random.nextInt();
    }
    BulkArrays.writeShorts(out, array);
    Input in = written(Integer.BYTES + size * Short.BYTES);
    assertThat(BulkArrays.readShorts(in)).as("seed %d", SEED).isEqualTo(array);
    assertThat(in.eof()).isTrue();
  }

  @Test
  void aNegativeLengthIsRefused() {
    out.writeInt(-1);
    assertThatThrownBy(() -> BulkArrays.readFloats(written(Integer.BYTES)))
        .isInstanceOf(KryoException.class)
        .hasMessage("Invalid array length: -1");
  }

  @Test
  void anEarlyEndIsRefused() {
    out.writeInt(3);
    out.writeFloat(1);
    assertThatThrownBy(() -> BulkArrays.readFloats(written(2 * Integer.BYTES)))
        .isInstanceOf(KryoException.class);
  }
}

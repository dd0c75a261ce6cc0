package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class HeadSliceTest {
  private static final HeadLayout LAYOUT = new HeadLayout(10, 5, 20, 36);
  private static final int ROWS = 31;
  private static final int KEYS = 77;
  private static final long SEED = 241;

  @Test
  void slicesDifferByOneHeadAtMostAndAreAllHeads() {
    for (int count = 1; count <= LAYOUT.numKeyValueHeads(); count++) {
      int next = 0;
      for (HeadSlice slice : HeadSlice.cut(LAYOUT, count)) {
        assertThat(slice.firstKeyValueHead()).isEqualTo(next);
        assertThat(slice.firstHead()).isEqualTo(2 * next);
        assertThat(slice.numKeyValueHeads()).isBetween(5 / count, (5 + count - 1) / count);
        int heads = slice.numKeyValueHeads();
        assertThat(slice.layout()).isEqualTo(new HeadLayout(2 * heads, heads, 20, 36));
        next += heads;
      }
      assertThat(next).isEqualTo(5);
    }
    assertThat(HeadSlice.cut(LAYOUT, 1)).containsExactly(HeadSlice.whole(LAYOUT));
  }

  /** Also where weights are dropped by head. */
  @ParameterizedTest
  @EnumSource(ElementType.class)
  void theStateOfASliceIsThatOfItsHeads(ElementType type) {
    Random random = new Random(SEED);
    QueryBlock queries = queries(random);
    KeyValueBlock keys = keyValues(random, type);
    Dropout dropout = new Dropout(0.3, SEED, 5, 9);
    AttentionState all = fold(queries, keys, dropout);
    for (int count : new int[] {1, 2, 5}) {
      for (HeadSlice slice : HeadSlice.cut(LAYOUT, count)) {
        Dropout ofSlice = dropout.fromHead(slice.firstHead());
        AttentionState part = fold(queries.heads(slice), keys.heads(slice), ofSlice);
        int perHead = ROWS * (LAYOUT.valueDim() + 1);
        int from = slice.firstHead() * perHead;
        int to = from + slice.layout().numHeads() * perHead;
        String name = "%s, seed %d".formatted(slice, SEED);
        assertThat(part.bin()).as(name).isEqualTo(Arrays.copyOfRange(all.bin(), from, to));
        assertThat(part.hi()).as(name).isEqualTo(Arrays.copyOfRange(all.hi(), from, to));
        assertThat(part.lo()).as(name).isEqualTo(Arrays.copyOfRange(all.lo(), from, to));
      }
    }
    assertThat(queries.heads(HeadSlice.whole(LAYOUT))).isSameAs(queries);
    assertThat(keys.heads(HeadSlice.whole(LAYOUT))).isSameAs(keys);
  }

  @Test
  void bytesAreThoseOfTheArrays() {
    Random random = new Random(SEED);
    assertThat(QueryBlock.bytes(LAYOUT, ROWS)).isEqualTo(4L * queries(random).strips().length);
    for (ElementType type : ElementType.values()) {
      assertThat(KeyValueBlock.bytes(LAYOUT, KEYS, type))
          .isEqualTo(keyValues(random, type).bytes());
    }
    AttentionState state = new AttentionState(10, ROWS, 36);
    assertThat(AttentionState.bytes(10, ROWS, 36)).isEqualTo(20L * state.bin().length);
  }

  @Test
  void refusesHeadsThatAreNotThere() {
    for (int[] wrong : List.of(new int[] {-1, 2}, new int[] {0, 0}, new int[] {3, 3})) {
      assertThatThrownBy(() -> new HeadSlice(LAYOUT, wrong[0], wrong[1]))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("expected within 5");
    }
  }

  private static AttentionState fold(QueryBlock queries, KeyValueBlock keys, Dropout dropout) {
    HeadLayout layout = queries.layout();
    AttentionState state = new AttentionState(layout.numHeads(), ROWS, layout.valueDim());
    ScoreTransform transform = new ScoreTransform(0, List.of(), dropout);
    AttentionKernels.auto().kernel().fold(queries, keys, VisibleKeys.all(), transform, state, 1);
    return state;
  }

  private static QueryBlock queries(Random random) {
    QueryBlock.Packer packer = new QueryBlock.Packer(LAYOUT, ROWS, 0.2);
    for (int head = 0; head < LAYOUT.numHeads(); head++) {
      for (int row = 0; row < ROWS; row++) {
        packer.put(head, row, numbers(random, LAYOUT.keyDim()), 0);
      }
    }
    return packer.pack();
  }

  private static KeyValueBlock keyValues(Random random, ElementType type) {
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(LAYOUT, KEYS, type);
    for (int head = 0; head < LAYOUT.numKeyValueHeads(); head++) {
      for (int row = 0; row < KEYS; row++) {
        packer.putKey(head, row, numbers(random, LAYOUT.keyDim()), 0);
        packer.putValue(head, row, numbers(random, LAYOUT.valueDim()), 0);
      }
    }
    return packer.pack();
  }

  private static float[] numbers(Random random, int count) {
    float[] numbers = new float[count];
    for (int i = 0; i < count; i++) {
      numbers[i] = (float) random.nextGaussian();
    }
    return numbers;
  }
}

package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class AttentionStateTest {
  private static final AttentionKernel KERNEL = AttentionKernels.auto().kernel();

  private static final int VALUE_DIM = 5;
  private static final int LEAVES = 40;

  /** Exponent of the unit in which exact sums are held: below every term that occurs. */
  private static final int UNIT = 20_000;

  private static final BigDecimal TWO_TO_1134 = new BigDecimal(BigInteger.ONE.shiftLeft(1134));

  /** One leaf: {@code values · 2^exponent}, {@code denominator · 2^exponent}. */
  private record Leaf(double exponent, float[] values, float denominator) {}

  enum Distribution {
    UNIT {
      @Override
      Leaf leaf(Random random) {
        return of(random, random.nextInt(5), 1);
      }
    },
    SCORES_OF_TEN_THOUSAND {
      @Override
      Leaf leaf(Random random) {
        return of(random, 28_854 * (random.nextDouble() - 0.5), 1);
      }
    },
    ANY_EXPONENT {
      @Override
      Leaf leaf(Random random) {
        return of(random, 100 * random.nextDouble(), 1);
      }
    },
    BIN_NEIGHBOURS {
      @Override
      Leaf leaf(Random random) {
        return of(random, AttentionState.W * (random.nextInt(4) - 2) + random.nextInt(3) - 1, 1);
      }
    },
    COLUMNS_A_MILLION_APART {
      @Override
      Leaf leaf(Random random) {
        Leaf leaf = of(random, random.nextInt(3), 1);
        for (int c = 0; c < VALUE_DIM; c++) {
          leaf.values[c] *= (float) Math.pow(1e6, c - 2);
        }
        return leaf;
      }
    },
    ZERO_VALUES {
      @Override
      Leaf leaf(Random random) {
        return of(random, random.nextInt(50), 0);
      }
    },
    SUBNORMAL_AND_HUGE {
      @Override
      Leaf leaf(Random random) {
        return of(random, random.nextInt(3), random.nextBoolean() ? 1e-41 : 1e37);
      }
    };

    abstract Leaf leaf(Random random);

    private static Leaf of(Random random, double exponent, double magnitude) {
      float[] values = new float[VALUE_DIM];
      for (int c = 0; c < VALUE_DIM; c++) {
        values[c] = (float) (random.nextGaussian() * magnitude);
      }
      return new Leaf(exponent, values, 0.5f + 2047 * random.nextFloat());
    }
  }

  @ParameterizedTest
  @EnumSource(Distribution.class)
  void anyTreeInAnyOrderGivesTheSameBits(Distribution distribution) {
    long seed = 20261124L + distribution.ordinal();
    System.out.println(distribution + " seed " + seed);
    Random random = new Random(seed);
    for (int round = 0; round < 20; round++) {
      List<Leaf> leaves = leaves(distribution, random);
      float[] expected = AttentionCase.finish(foldAll(leaves));
      for (int tree = 0; tree < 60; tree++) {
        Collections.shuffle(leaves, random);
        assertThat(AttentionCase.finish(mergeAsRandomTree(leaves, random)))
            .as("seed %d, round %d, tree %d", seed, round, tree)
            .containsExactly(expected);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Distribution.class)
  void errorStaysWithinItsBound(Distribution distribution) {
    long seed = 7L + distribution.ordinal();
    System.out.println(distribution + " seed " + seed);
    Random random = new Random(seed);
    for (int round = 0; round < 50; round++) {
      List<Leaf> leaves = leaves(distribution, random);
      AttentionState state = foldAll(leaves);
      for (int c = 0; c <= VALUE_DIM; c++) {
        BigInteger exact = BigInteger.ZERO;
        BigInteger largest = BigInteger.ZERO;
        for (Leaf leaf : leaves) {
          float x = c < VALUE_DIM ? leaf.values[c] : leaf.denominator;
          int whole = (int) Math.rint(leaf.exponent);
          BigInteger term = exactly(x * Exp2.ofFraction(leaf.exponent - whole), whole);
          exact = exact.add(term);
          largest = largest.max(term.abs());
        }
        BigInteger found =
            state.bin()[c] == AttentionState.EMPTY
                ? BigInteger.ZERO
                : exactly(state.hi()[c], state.bin()[c])
                    .add(exactly(state.lo()[c], state.bin()[c]));
        BigInteger bound =
            largest.multiply(BigInteger.valueOf(LEAVES)).shiftRight(AttentionState.W);
        assertThat(found.subtract(exact).abs())
            .as("seed %d, round %d, column %d", seed, round, c)
            .isLessThanOrEqualTo(bound);
      }
    }
  }

  @Test
  void emptyIsTheIdentityOfMerge() {
    AttentionState state = foldAll(leaves(Distribution.UNIT, new Random(3)));
    float[] before = AttentionCase.finish(state);
    state.merge(new AttentionState(1, 1, VALUE_DIM));
    AttentionState other = new AttentionState(1, 1, VALUE_DIM);
    other.merge(state);
    assertThat(AttentionCase.finish(state)).containsExactly(before);
    assertThat(AttentionCase.finish(other)).containsExactly(before);
  }

  @Test
  void aRowThatSawNoKeyFinishesToZero() {
    assertThat(AttentionCase.finish(new AttentionState(1, 1, 3)))
        .containsExactly(0f, 0f, 0f, Float.NEGATIVE_INFINITY);
  }

  @Test
  void cancelledValuesStayExact() {
    AttentionState state = new AttentionState(1, 1, 1);
    state.addLeaf(0, 0, 0, new float[] {1e25f}, 0, 1, KERNEL);
    state.addLeaf(0, 0, 0, new float[] {-1e25f}, 0, 1, KERNEL);
    state.addLeaf(0, 0, 0, new float[] {3e15f}, 0, 1, KERNEL);
    assertThat(AttentionCase.finish(state)[0]).isEqualTo(1e15f);
  }

  /** Scores reach ±2^22 and values the ends of float: no power of two on the way may overflow. */
  @Test
  void theOutermostExponentsAreExact() {
    int end = 1 << 22;
    float[] values = {Float.MIN_VALUE, -0x1p127f, 0, -Float.MIN_NORMAL, 1};
    for (int exponent : new int[] {-end, -end + 1, -1, 0, 1, end - 1, end}) {
      AttentionState state = new AttentionState(1, 1, VALUE_DIM);
      for (int leaf = 0; leaf < 3; leaf++) {
        state.addLeaf(0, 0, exponent, values, 0, 1, KERNEL);
      }
      float[] found = AttentionCase.finish(state);
      assertThat(found).startsWith(values);
      assertThat(found[VALUE_DIM])
          .isEqualTo((float) (exponent * Math.log(2) + Math.log(3)), within(1e-6f * end));
      state.addLeaf(0, 0, end, new float[] {0, 0, 0, 0, 7}, 0, 1, KERNEL);
      AttentionState far = new AttentionState(1, 1, VALUE_DIM);
      far.addLeaf(0, 0, -end, values, 0, 1, KERNEL);
      state.merge(far);
      assertThat(AttentionCase.finish(state)).doesNotContain(Float.NaN);
    }
  }

  @Test
  void logSumExpIsNatural() {
    AttentionState state = new AttentionState(1, 1, 1);
    state.addLeaf(0, 0, 10, new float[] {0}, 0, 3, KERNEL);
    assertThat(AttentionCase.finish(state)[1]).isCloseTo((float) Math.log(3 * 1024), within(1e-6f));
  }

  @Test
  void sumsStayExactForTheLargestNumberOfLeaves() {
    AttentionState one = new AttentionState(1, 1, 1);
    float x = Math.nextDown(2f);
    one.addLeaf(0, 0, AttentionState.W / 2, new float[] {x}, 0, x, KERNEL);
    for (int doubling = 0; doubling < 16; doubling++) {
      AttentionState copy =
          new AttentionState(1, 1, 1, one.bin().clone(), one.hi().clone(), one.lo().clone());
      one.merge(copy);
    }
    assertThat(1 << 16).isEqualTo(AttentionState.MAX_LEAVES);
    assertThat(one.hi()[0] + one.lo()[0]).isEqualTo(65_536.0 * x);
    assertThat(Math.abs(one.hi()[0]) * Math.pow(2, AttentionState.W)).isLessThan(0x1p53 + 1);
  }

  @Test
  void refusesStatesOfOtherRows() {
    assertThatThrownBy(() -> new AttentionState(1, 2, 3).merge(new AttentionState(1, 1, 3)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Cannot merge attention states of 1 × 2 × 3 and 1 × 1 × 3");
  }

  private static List<Leaf> leaves(Distribution distribution, Random random) {
    List<Leaf> leaves = new ArrayList<>();
    for (int i = 0; i < LEAVES; i++) {
      leaves.add(distribution.leaf(random));
    }
    return leaves;
  }

  private static AttentionState foldAll(List<Leaf> leaves) {
    AttentionState state = new AttentionState(1, 1, VALUE_DIM);
    for (Leaf leaf : leaves) {
      state.addLeaf(0, 0, leaf.exponent, leaf.values, 0, leaf.denominator, KERNEL);
    }
    return state;
  }

  /** Some leaves are folded one after the other, the rest meet as states in a random tree. */
  private static AttentionState mergeAsRandomTree(List<Leaf> leaves, Random random) {
    List<AttentionState> states = new ArrayList<>();
    for (int i = 0; i < leaves.size(); ) {
      int run = 1 + random.nextInt(4);
      states.add(foldAll(leaves.subList(i, Math.min(i + run, leaves.size()))));
      i += run;
    }
    states.add(new AttentionState(1, 1, VALUE_DIM));
    while (states.size() > 1) {
      AttentionState left = states.remove(random.nextInt(states.size()));
      states.get(random.nextInt(states.size())).merge(left);
    }
    return states.get(0);
  }

  /** x · 2^exponent as an integer in units of 2^-{@value #UNIT}. */
  private static BigInteger exactly(double x, int exponent) {
    int shift = UNIT + exponent - 1074 - 60;
    BigInteger scaled = new BigDecimal(x).multiply(TWO_TO_1134).toBigIntegerExact();
    return shift >= 0 ? scaled.shiftLeft(shift) : scaled.shiftRight(-shift);
  }
}

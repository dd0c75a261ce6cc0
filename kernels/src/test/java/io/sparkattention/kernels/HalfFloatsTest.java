package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Every 16-bit pattern, and every float that decides a rounding, against the formats' definition.
 */
class HalfFloatsTest {
  private static final int PATTERNS = 1 << 16;

  /** The formats by their definition. */
  private enum Format {
    BF16(8, 7, ElementType.BF16) {
      @Override
      float widen(short half) {
        return HalfFloats.bf16ToFloat(half);
      }

      @Override
      short narrow(float value) {
        return HalfFloats.floatToBf16(value);
      }
    },
    F16(5, 10, ElementType.F16) {
      @Override
      float widen(short half) {
        return HalfFloats.f16ToFloat(half);
      }

      @Override
      short narrow(float value) {
        return HalfFloats.floatToF16(value);
      }
    };

    final int fractionBits;
    final int bias;
    final int infinity;
    final ElementType type;

    Format(int exponentBits, int fractionBits, ElementType type) {
      this.fractionBits = fractionBits;
      this.bias = (1 << (exponentBits - 1)) - 1;
      this.infinity = ((1 << exponentBits) - 1) << fractionBits;
      this.type = type;
    }

    abstract float widen(short half);

    abstract short narrow(float value);

    /** (−1)^s · 2^(E − bias) · (1 + F), or (−1)^s · 2^(1 − bias) · F where E is 0. */
    double value(int pattern) {
      int magnitude = pattern & 0x7fff;
      int exponent = magnitude >> fractionBits;
      double fraction = Math.scalb((double) (magnitude & ((1 << fractionBits) - 1)), -fractionBits);
      double absolute =
          exponent == 0
              ? Math.scalb(fraction, 1 - bias)
              : Math.scalb(1 + fraction, exponent - bias);
      if (magnitude >= infinity) {
        absolute = magnitude == infinity ? Double.POSITIVE_INFINITY : Double.NaN;
      }
      return pattern < 0x8000 ? absolute : -absolute;
    }

    boolean isFinite(int pattern) {
      return (pattern & 0x7fff) < infinity;
    }
  }

  @ParameterizedTest
  @EnumSource(Format.class)
  void widensAllPatternsExactlyAndNarrowsThemBack(Format format) {
    for (int pattern = 0; pattern < PATTERNS; pattern++) {
      float found = format.widen((short) pattern);
      assertThat(Double.compare(found, format.value(pattern))).as("pattern %x", pattern).isZero();
      if (!Float.isNaN(found)) {
        assertThat(format.narrow(found)).as("pattern %x", pattern).isEqualTo((short) pattern);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Format.class)
  void keepsNaN(Format format) {
    // The last has payload bits only where no 16-bit format has any.
    for (int bits : new int[] {0x7fc0_0000, 0xffff_ffff, 0x7f80_0001}) {
      float nan = Float.intBitsToFloat(bits);
      assertThat(format.widen(format.narrow(nan))).as("%x", bits).isNaN();
    }
    for (int pattern = format.infinity + 1; pattern < 0x8000; pattern++) {
      assertThat(format.widen((short) pattern)).isNaN();
      assertThat(format.widen((short) (pattern | 0x8000))).isNaN();
    }
  }

  /**
   * The midpoint of two neighbours, and the floats next to it, subnormals and overflow included.
   */
  @ParameterizedTest
  @EnumSource(Format.class)
  void roundsToNearestAndTiesToEven(Format format) {
    for (int pattern = 0; pattern < format.infinity; pattern++) {
      double below = format.value(pattern);
      // The largest finite one's upper neighbour, if the exponent went on.
      double above =
          pattern + 1 < format.infinity
              ? format.value(pattern + 1)
              : 2 * below - format.value(pattern - 1);
      float middle = (float) ((below + above) / 2);
      assertThat((double) middle).isEqualTo((below + above) / 2);
      int even = pattern + (pattern & 1);
      for (int sign : new int[] {0, 0x8000}) {
        float s = sign == 0 ? 1 : -1;
        assertThat(format.narrow(s * middle)).isEqualTo((short) (sign | even));
        assertThat(format.narrow(s * Math.nextDown(middle))).isEqualTo((short) (sign | pattern));
        assertThat(format.narrow(s * Math.nextUp(middle))).isEqualTo((short) (sign | pattern + 1));
      }
    }
    assertThat(format.widen(format.narrow(Float.MAX_VALUE))).isEqualTo(Float.POSITIVE_INFINITY);
  }

  @ParameterizedTest
  @EnumSource(Format.class)
  void kernelsUnpackAllFinitePatternsExactly(Format format) {
    short[] halves = new short[PATTERNS];
    for (int pattern = 0; pattern < PATTERNS; pattern++) {
      halves[pattern] = (short) pattern;
    }
    for (AttentionKernel kernel :
        new AttentionKernel[] {new ScalarAttentionKernel(), new VectorAttentionKernel()}) {
      float[] found = new float[PATTERNS + 3];
      kernel.unpack(format.type, halves, 0, PATTERNS, found, 3);
      for (int pattern = 0; pattern < PATTERNS; pattern++) {
        if (format.isFinite(pattern)) {
          assertThat(Double.compare(found[3 + pattern], format.value(pattern)))
              .as("%s, pattern %x", kernel.name(), pattern)
              .isZero();
        }
      }
    }
  }

  @Test
  void typesKnowTheirRange() {
    assertThat((double) ElementType.BF16.max())
        .isEqualTo(Format.BF16.value(Format.BF16.infinity - 1));
    assertThat((double) ElementType.F16.max()).isEqualTo(Format.F16.value(Format.F16.infinity - 1));
  }
}

package io.sparkattention.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Keys and values in 16 bits: the bits of float32 blocks of the rounded values, half the bytes. */
class ElementTypeTest {
  private static final AttentionKernel SCALAR = new ScalarAttentionKernel();
  private static final AttentionKernel VECTOR = new VectorAttentionKernel();
  private static final int FAR = 1 << 29;

  /**
   * For each 16-bit type: heads, queries, keys, keys of a block, and offset, left, right of the
   * band.
   */
  static Stream<Arguments> shapes() {
    return Stream.of(ElementType.BF16, ElementType.F16)
        .flatMap(
            s ->
                Stream.of(
                    Arguments.of(
                        s, new HeadLayout(1, 1, 64, 64), 40, 1100, 1024, new int[] {0, FAR, FAR}),
                    Arguments.of(s, new HeadLayout(1, 1, 1, 1), 1, 1, 16, new int[] {0, FAR, FAR}),
                    Arguments.of(
                        s, new HeadLayout(6, 2, 48, 80), 37, 531, 256, new int[] {494, FAR, 0}),
                    Arguments.of(
                        s, new HeadLayout(2, 1, 32, 7), 530, 530, 530, new int[] {0, FAR, 0}),
                    Arguments.of(
                        s, new HeadLayout(1, 1, 17, 65), 129, 257, 100, new int[] {3, 20, 5}),
                    Arguments.of(
                        s, new HeadLayout(3, 3, 5, 128), 7, 63, 2048, new int[] {-4, 9, 0}),
                    Arguments.of(
                        s, new HeadLayout(2, 2, 512, 512), 5, 70, 64, new int[] {0, FAR, FAR}),
                    Arguments.of(
                        s, new HeadLayout(1, 1, 128, 33), 300, 1025, 1025, new int[] {700, 90, 7}),
                    Arguments.of(
                        s, new HeadLayout(4, 2, 16, 16), 9, 640, 600, new int[] {600, 512, 30})));
  }

  @ParameterizedTest
  @MethodSource("shapes")
  void givesTheBitsOfTheRoundedValuesInFloat32(
      ElementType type, HeadLayout layout, int queries, int keys, int block, int[] band) {
    AttentionCase c = new AttentionCase(layout, queries, keys, 31);
    float[] found = attend(c, VECTOR, type, block, band);
    assertThat(attend(c, SCALAR, type, block, band)).containsExactly(found);
    round(c.key, type);
    round(c.value, type);
    assertThat(attend(c, VECTOR, ElementType.F32, block, band)).containsExactly(found);
  }

  /** The bound of the module's README, beside that of float32 arithmetic. */
  @ParameterizedTest
  @MethodSource("shapes")
  void isOffByNoMoreThanTheBound(
      ElementType type, HeadLayout layout, int queries, int keys, int block, int[] band) {
    AttentionCase c = new AttentionCase(layout, queries, keys, 32);
    float[] found = attend(c, VECTOR, type, block, band);
    ReferenceAttention.Result expected = c.reference(band[0], band[1], band[2]);

    double relative = type == ElementType.BF16 ? 0x1p-8 : 0x1p-11;
    double absolute = type == ElementType.BF16 ? 0x1p-134 : 0x1p-25;
    double scoreError = scoreError(c, relative, absolute);
    double float32 = c.relativeBound(AttentionKernel.INNER_KEYS);
    double bound = (relative + scoreError + float32) * c.maxValue() + absolute;
    double worst = 0;
    int outputs = expected.output().length;
    for (int i = 0; i < outputs; i++) {
      worst = Math.max(worst, Math.abs(found[i] - expected.output()[i]));
    }
    assertThat(worst).isLessThanOrEqualTo(bound);
    for (int i = 0; i < expected.logSumExp().length; i++) {
      double e = expected.logSumExp()[i];
      if (e != Double.NEGATIVE_INFINITY) {
        double error = Math.abs(found[outputs + i] - e);
        assertThat(error).isLessThanOrEqualTo(scoreError + float32 + Math.abs(e) * 0x1p-23);
      }
    }
  }

  /** The largest |scale| Σ |q| (u |k| + η) of a pair. */
  private static double scoreError(AttentionCase c, double relative, double absolute) {
    int dim = c.layout.keyDim();
    double max = 0;
    for (int head = 0; head < c.layout.numHeads(); head++) {
      for (int i = 0; i < c.queries; i++) {
        for (int j = 0; j < c.keys; j++) {
          double sum = 0;
          for (int d = 0; d < dim; d++) {
            double k = c.key[(c.layout.keyValueHead(head) * c.keys + j) * dim + d];
            double q = c.query[(head * c.queries + i) * dim + d];
            sum += Math.abs(q) * (relative * Math.abs(k) + absolute);
          }
          max = Math.max(max, sum);
        }
      }
    }
    return max * c.scale;
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void takesHalfTheBytes(ElementType type) {
    AttentionCase c = new AttentionCase(new HeadLayout(2, 2, 40, 24), 1, 131, 33);
    KeyValueBlock half = c.keyValueBlock(0, 131, type);
    assertThat(2 * half.bytes()).isEqualTo(c.keyValueBlock(0, 131).bytes());
    assertThat(half.bytes()).isEqualTo(2 * 2 * (192 * 40 + 131 * 32));
    assertThat(half.keyPanels().halves()).isNotNull();
    assertThat(half.keyPanels().floats()).isNull();
  }

  /** An unseen score is checked by this norm alone, so it has to bound what the kernel reads. */
  @ParameterizedTest
  @EnumSource(ElementType.class)
  void theNormIsThatOfTheStoredKey(ElementType type) {
    KeyValueBlock.Packer packer = new KeyValueBlock.Packer(new HeadLayout(1, 1, 1, 1), 1, type);
    float roundedUp = 1 + 0x1.8p-8f;
    packer.putKey(0, 0, new float[] {-roundedUp}, 0);
    assertThat(packer.pack().keyNorms()).containsExactly(rounded(roundedUp, type));
  }

  @Test
  void refusesWhatTheTypeCannotHold() {
    HeadLayout layout = new HeadLayout(1, 1, 2, 2);
    KeyValueBlock.Packer f16 = new KeyValueBlock.Packer(layout, 4, ElementType.F16);
    f16.putKey(0, 0, new float[] {65519, -65519}, 0);
    assertThatThrownBy(() -> f16.putKey(0, 2, new float[] {0, 65520}, 0))
        .isInstanceOf(InvalidElementException.class)
        .hasMessage(
            "Invalid key in head 0, row 2: 65520.0 (expected finite and at most 65504.0 when rounded to f16)");
    assertThatThrownBy(() -> f16.putValue(0, 1, new float[] {-1e6f, 0}, 0))
        .hasMessage(
            "Invalid value in head 0, row 1: -1000000.0 (expected finite and at most 65504.0 when rounded to f16)");
    KeyValueBlock.Packer bf16 = new KeyValueBlock.Packer(layout, 4, ElementType.BF16);
    assertThatThrownBy(() -> bf16.putKey(0, 0, new float[] {Float.MAX_VALUE, 0}, 0))
        .hasMessageContaining("at most 3.3895314E38 when rounded to bf16");
    assertThatThrownBy(() -> bf16.putKey(0, 0, new float[] {Float.NaN, 0}, 0))
        .hasMessage("Invalid key in head 0, row 0: NaN (expected finite)");
  }

  @Test
  void refusesPanelsOfTwoTypes() {
    HeadLayout layout = new HeadLayout(1, 1, 1, 1);
    Panels keys = Panels.of(ElementType.BF16, new short[64]);
    Panels values = Panels.of(ElementType.F16, new short[16]);
    assertThatThrownBy(() -> new KeyValueBlock(layout, 1, keys, values, new float[1]))
        .hasMessageContaining("64 key elements in bf16, 16 value elements in f16");
    assertThatThrownBy(() -> Panels.of(ElementType.F32, new short[1]))
        .hasMessage("Cannot store f32 in 16 bits");
  }

  private static float[] attend(
      AttentionCase c, AttentionKernel kernel, ElementType type, int block, int[] band) {
    return AttentionCase.finish(c.attend(kernel, type, block, band[0], band[1], band[2]));
  }

  private static float rounded(float value, ElementType type) {
    return switch (type) {
      case F32 -> value;
      case BF16 -> HalfFloats.bf16ToFloat(HalfFloats.floatToBf16(value));
      case F16 -> HalfFloats.f16ToFloat(HalfFloats.floatToF16(value));
    };
  }

  private static void round(float[] values, ElementType type) {
    for (int i = 0; i < values.length; i++) {
      values[i] = rounded(values[i], type);
    }
  }
}

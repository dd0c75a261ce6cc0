package io.sparkattention.kernels;

import java.util.Arrays;
import java.util.stream.IntStream;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The kernel on the Vector API, one species per JVM: the widest that the CPU prefers. Everything is
 * written inline, because on JDK 17 a method that returns a vector boxes it.
 */
public final class VectorAttentionKernel extends AttentionKernel {
  static final VectorSpecies<Float> FLOATS = widest();
  private static final VectorSpecies<Integer> INTS =
      VectorSpecies.of(int.class, FLOATS.vectorShape());

  /** As many 16-bit elements as a vector of floats has lanes; read, widened and nothing else. */
  private static final VectorSpecies<Short> HALVES =
      VectorSpecies.of(short.class, VectorShape.forBitSize(FLOATS.vectorBitSize() / 2));

  private static final int L = FLOATS.length();

  /** By how much lane i is shifted for bit i to become the sign. */
  private static final int[] TO_SIGN = IntStream.range(0, L).map(i -> 31 - i).toArray();

  /** What lane i adds to the hash's first step. */
  private static final int[] KEY_STEPS =
      IntStream.range(0, L).map(i -> i * Dropout.KEY_STEP).toArray();

  /**
   * Whether the CPU has 32 vector registers, as with AVX-512, and not 16. The micro-kernels hold 6
   * rows × 4 vectors of columns (keys of S, values of O) there and 6 × 2 otherwise: 24 or 12
   * accumulators, the columns and up to two broadcasts. Narrower, 4 × 2 leaves too few independent
   * multiply-adds to hide their latency (66 % of the peak); 4 × 3 and 6 × 2 unrolled twice are
   * spilled (47 to 51 %).
   */
  private static final boolean WIDE = L == LANES;

  private static final int ROWS = 6;
  private static final int PANEL_ROWS = QueryBlock.STRIP_ROWS;

  /** Enough calls for the first compiler's profiles, too few for the second compiler. */
  private static final int PROFILE_ROUNDS = 2000;

  static {
    mixProfiles();
  }

  /** A vector wider than the 16 virtual lanes could not keep the order of the row sums. */
  private static VectorSpecies<Float> widest() {
    return FloatVector.SPECIES_PREFERRED.length() > LANES
        ? FloatVector.SPECIES_512
        : FloatVector.SPECIES_PREFERRED;
  }

  /**
   * Runs every kind of vector operation in turn before any of them is hot. Without it C2 compiles
   * the Vector API's shared lookup of operators while it has seen the fused multiply-add alone, and
   * the other kinds then run into its class checks. On JDK 17 the traps count for every place that
   * inlines the lookup: a kernel of many operations exceeds the limit, its receivers become virtual
   * calls and its vectors objects, and it runs at half its speed for the life of the JVM.
   */
  private static void mixProfiles() {
    float[] x = new float[2 * LANES];
    for (int i = 0; i < PROFILE_ROUNDS; i++) {
      FloatVector a = FloatVector.fromArray(FLOATS, x, i % L);
      FloatVector b = FloatVector.broadcast(FLOATS, 0.5f);
      IntVector n = a.fma(b, b).add(a).sub(b).reinterpretAsInts();
      n = n.min(IntVector.broadcast(INTS, 127)).max(IntVector.broadcast(INTS, 0));
      n = n.add(n.lanewise(VectorOperators.LSHL, 1)).lanewise(VectorOperators.XOR, n).and(n);
      n = n.lanewise(VectorOperators.LSHL, n).lanewise(VectorOperators.ASHR, 31);
      n =
          n.lanewise(VectorOperators.LSHR, 1)
              .mul(n)
              .sub(n.reinterpretAsFloats().div(b).mul(b).reinterpretAsInts());
      x[0] = n.reduceLanes(VectorOperators.MAX) & n.reduceLanes(VectorOperators.MIN) & 1;
      n.reinterpretAsFloats().intoArray(x, L);
    }
  }

  /** Bits of the vectors that this kernel uses. */
  public static int vectorBits() {
    return FLOATS.vectorBitSize();
  }

  @Override
  public String name() {
    return "vector-" + vectorBits();
  }

  /**
   * S = QKᵀ, and the row maxima while the scores are in registers: they are compared in pipes that
   * the multiply-adds leave idle.
   */
  @Override
  void scores(
      float[] q,
      int qOffset,
      float[] k,
      int kOffset,
      int panels,
      int keyDim,
      float[] scores,
      int first,
      float[] maxima) {
    Arrays.fill(maxima, Float.NEGATIVE_INFINITY);
    int panelFloats = keyDim * PANEL_KEYS;
    for (int panel = 0; panel < panels; panel++) {
      int source = kOffset + panel * panelFloats;
      int target = first + panel * PANEL_KEYS;
      for (int c = 0; c < PANEL_KEYS; c += WIDE ? 4 * L : 2 * L) {
        if (WIDE) {
          scores6x4(q, qOffset, k, source + c, keyDim, scores, target + c, maxima);
        } else {
          scores6x2(q, qOffset, k, source + c, keyDim, scores, target + c, maxima);
        }
      }
    }
    for (int r = 0; r < STRIP_ROWS; r++) {
      IntVector lanes = FloatVector.fromArray(FLOATS, maxima, r * LANES).reinterpretAsInts();
      int bits = lanes.reduceLanes(VectorOperators.MAX);
      if (bits < 0) {
        bits = maxOfNegative(scores, r * SCORE_STRIDE + first, panels * PANEL_KEYS);
      }
      maxima[r * LANES] = Float.intBitsToFloat(bits);
    }
  }

  /**
   * The index into {@code q} advances by itself: computed from {@code d} it is a sum of two shifts,
   * of which C2 knows no bounds, and the loop takes 8 % longer. Its two bounds checks remain either
   * way, and keep C2 from loading more of the row at once than there are registers.
   */
  private static void scores6x4(
      float[] q,
      int qOffset,
      float[] k,
      int kOffset,
      int keyDim,
      float[] scores,
      int target,
      float[] maxima) {
    FloatVector a0 = FloatVector.zero(FLOATS);
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector b2 = a0;
    FloatVector b3 = a0;
    FloatVector c0 = a0;
    FloatVector c1 = a0;
    FloatVector c2 = a0;
    FloatVector c3 = a0;
    FloatVector d0 = a0;
    FloatVector d1 = a0;
    FloatVector d2 = a0;
    FloatVector d3 = a0;
    FloatVector e0 = a0;
    FloatVector e1 = a0;
    FloatVector e2 = a0;
    FloatVector e3 = a0;
    FloatVector f0 = a0;
    FloatVector f1 = a0;
    FloatVector f2 = a0;
    FloatVector f3 = a0;
    int qd = qOffset;
    int kEnd = keyDim * PANEL_KEYS;
    for (int dk = 0; dk < kEnd; dk += PANEL_KEYS) {
      int kd = kOffset + dk;
      FloatVector k0 = FloatVector.fromArray(FLOATS, k, kd);
      FloatVector k1 = FloatVector.fromArray(FLOATS, k, kd + L);
      FloatVector k2 = FloatVector.fromArray(FLOATS, k, kd + 2 * L);
      FloatVector k3 = FloatVector.fromArray(FLOATS, k, kd + 3 * L);
      FloatVector x = FloatVector.broadcast(FLOATS, q[qd]);
      a0 = x.fma(k0, a0);
      a1 = x.fma(k1, a1);
      a2 = x.fma(k2, a2);
      a3 = x.fma(k3, a3);
      x = FloatVector.broadcast(FLOATS, q[qd + 1]);
      b0 = x.fma(k0, b0);
      b1 = x.fma(k1, b1);
      b2 = x.fma(k2, b2);
      b3 = x.fma(k3, b3);
      x = FloatVector.broadcast(FLOATS, q[qd + 2]);
      c0 = x.fma(k0, c0);
      c1 = x.fma(k1, c1);
      c2 = x.fma(k2, c2);
      c3 = x.fma(k3, c3);
      x = FloatVector.broadcast(FLOATS, q[qd + 3]);
      d0 = x.fma(k0, d0);
      d1 = x.fma(k1, d1);
      d2 = x.fma(k2, d2);
      d3 = x.fma(k3, d3);
      x = FloatVector.broadcast(FLOATS, q[qd + 4]);
      e0 = x.fma(k0, e0);
      e1 = x.fma(k1, e1);
      e2 = x.fma(k2, e2);
      e3 = x.fma(k3, e3);
      x = FloatVector.broadcast(FLOATS, q[qd + 5]);
      f0 = x.fma(k0, f0);
      f1 = x.fma(k1, f1);
      f2 = x.fma(k2, f2);
      f3 = x.fma(k3, f3);
      qd += STRIP_ROWS;
    }
    IntVector m = a0.reinterpretAsInts().max(a1.reinterpretAsInts());
    m = m.max(a2.reinterpretAsInts().max(a3.reinterpretAsInts()));
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 0).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 0);
    m = b0.reinterpretAsInts().max(b1.reinterpretAsInts());
    m = m.max(b2.reinterpretAsInts().max(b3.reinterpretAsInts()));
    m = m.max(FloatVector.fromArray(FLOATS, maxima, LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, LANES);
    m = c0.reinterpretAsInts().max(c1.reinterpretAsInts());
    m = m.max(c2.reinterpretAsInts().max(c3.reinterpretAsInts()));
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 2 * LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 2 * LANES);
    m = d0.reinterpretAsInts().max(d1.reinterpretAsInts());
    m = m.max(d2.reinterpretAsInts().max(d3.reinterpretAsInts()));
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 3 * LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 3 * LANES);
    m = e0.reinterpretAsInts().max(e1.reinterpretAsInts());
    m = m.max(e2.reinterpretAsInts().max(e3.reinterpretAsInts()));
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 4 * LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 4 * LANES);
    m = f0.reinterpretAsInts().max(f1.reinterpretAsInts());
    m = m.max(f2.reinterpretAsInts().max(f3.reinterpretAsInts()));
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 5 * LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 5 * LANES);
    a0.intoArray(scores, target);
    a1.intoArray(scores, target + L);
    a2.intoArray(scores, target + 2 * L);
    a3.intoArray(scores, target + 3 * L);
    b0.intoArray(scores, target + SCORE_STRIDE);
    b1.intoArray(scores, target + SCORE_STRIDE + L);
    b2.intoArray(scores, target + SCORE_STRIDE + 2 * L);
    b3.intoArray(scores, target + SCORE_STRIDE + 3 * L);
    c0.intoArray(scores, target + 2 * SCORE_STRIDE);
    c1.intoArray(scores, target + 2 * SCORE_STRIDE + L);
    c2.intoArray(scores, target + 2 * SCORE_STRIDE + 2 * L);
    c3.intoArray(scores, target + 2 * SCORE_STRIDE + 3 * L);
    d0.intoArray(scores, target + 3 * SCORE_STRIDE);
    d1.intoArray(scores, target + 3 * SCORE_STRIDE + L);
    d2.intoArray(scores, target + 3 * SCORE_STRIDE + 2 * L);
    d3.intoArray(scores, target + 3 * SCORE_STRIDE + 3 * L);
    e0.intoArray(scores, target + 4 * SCORE_STRIDE);
    e1.intoArray(scores, target + 4 * SCORE_STRIDE + L);
    e2.intoArray(scores, target + 4 * SCORE_STRIDE + 2 * L);
    e3.intoArray(scores, target + 4 * SCORE_STRIDE + 3 * L);
    f0.intoArray(scores, target + 5 * SCORE_STRIDE);
    f1.intoArray(scores, target + 5 * SCORE_STRIDE + L);
    f2.intoArray(scores, target + 5 * SCORE_STRIDE + 2 * L);
    f3.intoArray(scores, target + 5 * SCORE_STRIDE + 3 * L);
  }

  private static void scores6x2(
      float[] q,
      int qOffset,
      float[] k,
      int kOffset,
      int keyDim,
      float[] scores,
      int target,
      float[] maxima) {
    FloatVector a0 = FloatVector.zero(FLOATS);
    FloatVector a1 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector c0 = a0;
    FloatVector c1 = a0;
    FloatVector d0 = a0;
    FloatVector d1 = a0;
    FloatVector e0 = a0;
    FloatVector e1 = a0;
    FloatVector f0 = a0;
    FloatVector f1 = a0;
    int qd = qOffset;
    int kEnd = keyDim * PANEL_KEYS;
    for (int dk = 0; dk < kEnd; dk += PANEL_KEYS) {
      int kd = kOffset + dk;
      FloatVector k0 = FloatVector.fromArray(FLOATS, k, kd);
      FloatVector k1 = FloatVector.fromArray(FLOATS, k, kd + L);
      FloatVector x = FloatVector.broadcast(FLOATS, q[qd]);
      a0 = x.fma(k0, a0);
      a1 = x.fma(k1, a1);
      x = FloatVector.broadcast(FLOATS, q[qd + 1]);
      b0 = x.fma(k0, b0);
      b1 = x.fma(k1, b1);
      x = FloatVector.broadcast(FLOATS, q[qd + 2]);
      c0 = x.fma(k0, c0);
      c1 = x.fma(k1, c1);
      x = FloatVector.broadcast(FLOATS, q[qd + 3]);
      d0 = x.fma(k0, d0);
      d1 = x.fma(k1, d1);
      x = FloatVector.broadcast(FLOATS, q[qd + 4]);
      e0 = x.fma(k0, e0);
      e1 = x.fma(k1, e1);
      x = FloatVector.broadcast(FLOATS, q[qd + 5]);
      f0 = x.fma(k0, f0);
      f1 = x.fma(k1, f1);
      qd += STRIP_ROWS;
    }
    IntVector m = a0.reinterpretAsInts().max(a1.reinterpretAsInts());
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 0).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 0);
    m = b0.reinterpretAsInts().max(b1.reinterpretAsInts());
    m = m.max(FloatVector.fromArray(FLOATS, maxima, LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, LANES);
    m = c0.reinterpretAsInts().max(c1.reinterpretAsInts());
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 2 * LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 2 * LANES);
    m = d0.reinterpretAsInts().max(d1.reinterpretAsInts());
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 3 * LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 3 * LANES);
    m = e0.reinterpretAsInts().max(e1.reinterpretAsInts());
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 4 * LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 4 * LANES);
    m = f0.reinterpretAsInts().max(f1.reinterpretAsInts());
    m = m.max(FloatVector.fromArray(FLOATS, maxima, 5 * LANES).reinterpretAsInts());
    m.reinterpretAsFloats().intoArray(maxima, 5 * LANES);
    a0.intoArray(scores, target);
    a1.intoArray(scores, target + L);
    b0.intoArray(scores, target + SCORE_STRIDE);
    b1.intoArray(scores, target + SCORE_STRIDE + L);
    c0.intoArray(scores, target + 2 * SCORE_STRIDE);
    c1.intoArray(scores, target + 2 * SCORE_STRIDE + L);
    d0.intoArray(scores, target + 3 * SCORE_STRIDE);
    d1.intoArray(scores, target + 3 * SCORE_STRIDE + L);
    e0.intoArray(scores, target + 4 * SCORE_STRIDE);
    e1.intoArray(scores, target + 4 * SCORE_STRIDE + L);
    f0.intoArray(scores, target + 5 * SCORE_STRIDE);
    f1.intoArray(scores, target + 5 * SCORE_STRIDE + L);
  }

  /**
   * The maximum as integers on the raw bits, which costs one instruction where {@code
   * FloatVector.max} costs several for the sake of NaN and −0: right as it is if any score has a
   * clear sign; if all are negative their order as integers is the reverse.
   */
  private static int maxOfNegative(float[] scores, int offset, int count) {
    IntVector min = IntVector.broadcast(INTS, -1);
    for (int j = offset; j < offset + count; j += L) {
      min = min.min(FloatVector.fromArray(FLOATS, scores, j).reinterpretAsInts());
    }
    return min.reduceLanes(VectorOperators.MIN);
  }

  /** The bit of each key goes to the sign of its lane and from there to all bits. */
  @Override
  float mask(float[] scores, int offset, long word) {
    IntVector toSign = IntVector.fromArray(INTS, TO_SIGN, 0);
    IntVector hidden = IntVector.broadcast(INTS, Float.floatToRawIntBits(Float.NEGATIVE_INFINITY));
    IntVector max = hidden;
    IntVector min = IntVector.broadcast(INTS, -1);
    for (int j = 0; j < PANEL_KEYS; j += L) {
      IntVector seen = IntVector.broadcast(INTS, (int) (word >>> j));
      seen = seen.lanewise(VectorOperators.LSHL, toSign).lanewise(VectorOperators.ASHR, 31);
      IntVector s = FloatVector.fromArray(FLOATS, scores, offset + j).reinterpretAsInts();
      s = s.lanewise(VectorOperators.XOR, hidden).and(seen);
      s = s.lanewise(VectorOperators.XOR, hidden);
      s.reinterpretAsFloats().intoArray(scores, offset + j);
      max = max.max(s);
      min = min.min(s);
    }
    int bits = max.reduceLanes(VectorOperators.MAX);
    return Float.intBitsToFloat(bits >= 0 ? bits : min.reduceLanes(VectorOperators.MIN));
  }

  /** P = 2^(unit · (S − m)) and its row sums; one pass over a row for each vector of its lanes. */
  @Override
  void weights(
      float[] scores,
      int first,
      int count,
      float[] shift,
      float unit,
      boolean clamped,
      float[] sums) {
    if (clamped) {
      clampedWeights(scores, first, count, shift, unit, sums);
    } else {
      unclampedWeights(scores, first, count, shift, unit, sums);
    }
  }

  /** Two of fourteen operations less than with the clamp: by itself an eighth faster. */
  private static void unclampedWeights(
      float[] scores, int first, int count, float[] shift, float unit, float[] sums) {
    FloatVector minusUnit = FloatVector.broadcast(FLOATS, -unit);
    FloatVector magic = FloatVector.broadcast(FLOATS, Exp2.MAGIC);
    FloatVector one = FloatVector.broadcast(FLOATS, 1f);
    for (int r = 0; r < ROWS; r++) {
      FloatVector m = FloatVector.broadcast(FLOATS, shift[r]);
      for (int lane = 0; lane < LANES; lane += L) {
        int target = r * LANES + lane;
        FloatVector sum = FloatVector.fromArray(FLOATS, sums, target);
        int row = r * SCORE_STRIDE + first;
        for (int j = row + lane; j < row + count; j += LANES) {
          FloatVector u = m.sub(FloatVector.fromArray(FLOATS, scores, j));
          FloatVector z = u.fma(minusUnit, magic);
          FloatVector f = u.fma(minusUnit, magic.sub(z));
          FloatVector p = f.fma(Exp2.C5, Exp2.C4);
          p = p.fma(f, FloatVector.broadcast(FLOATS, Exp2.C3));
          p = p.fma(f, FloatVector.broadcast(FLOATS, Exp2.C2));
          p = p.fma(f, FloatVector.broadcast(FLOATS, Exp2.C1));
          p = p.fma(f, one);
          IntVector exponent = z.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
          p = p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
          p.intoArray(scores, j);
          sum = sum.add(p);
        }
        sum.intoArray(sums, target);
      }
    }
  }

  private static void clampedWeights(
      float[] scores, int first, int count, float[] shift, float unit, float[] sums) {
    FloatVector minusUnit = FloatVector.broadcast(FLOATS, -unit);
    FloatVector magic = FloatVector.broadcast(FLOATS, Exp2.MAGIC);
    FloatVector one = FloatVector.broadcast(FLOATS, 1f);
    // For floats ≥ 0 the order of the bits as integers is that of the floats.
    IntVector clamp = IntVector.broadcast(INTS, Float.floatToRawIntBits(Exp2.CLAMP / unit));
    IntVector bitsOfOne = IntVector.broadcast(INTS, Exp2.BITS_OF_ONE);
    for (int r = 0; r < ROWS; r++) {
      FloatVector m = FloatVector.broadcast(FLOATS, shift[r]);
      for (int lane = 0; lane < LANES; lane += L) {
        int target = r * LANES + lane;
        FloatVector sum = FloatVector.fromArray(FLOATS, sums, target);
        int row = r * SCORE_STRIDE + first;
        for (int j = row + lane; j < row + count; j += LANES) {
          FloatVector u = m.sub(FloatVector.fromArray(FLOATS, scores, j));
          u = u.reinterpretAsInts().min(clamp).reinterpretAsFloats();
          FloatVector z = u.fma(minusUnit, magic);
          FloatVector f = u.fma(minusUnit, magic.sub(z));
          FloatVector p = f.fma(Exp2.C5, Exp2.C4);
          p = p.fma(f, FloatVector.broadcast(FLOATS, Exp2.C3));
          p = p.fma(f, FloatVector.broadcast(FLOATS, Exp2.C2));
          p = p.fma(f, FloatVector.broadcast(FLOATS, Exp2.C1));
          p = p.fma(f, one);
          // A factor and not an addend of the exponent field: for n = 127 it is exactly +0.
          IntVector exponent = z.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
          p = p.mul(exponent.add(bitsOfOne).reinterpretAsFloats());
          p.intoArray(scores, j);
          sum = sum.add(p);
        }
        sum.intoArray(sums, target);
      }
    }
  }

  /** {@link Softcap#of} on vectors. */
  @Override
  void softcap(float[] scores, int offset, int count, float cap) {
    float rate = Softcap.rate(cap);
    FloatVector minusRate = FloatVector.broadcast(FLOATS, -rate);
    FloatVector minusCap = FloatVector.broadcast(FLOATS, -cap);
    FloatVector magic = FloatVector.broadcast(FLOATS, Exp2.MAGIC);
    FloatVector one = FloatVector.broadcast(FLOATS, 1f);
    FloatVector two = FloatVector.broadcast(FLOATS, 2f);
    IntVector clamp = IntVector.broadcast(INTS, Float.floatToRawIntBits(Softcap.CLAMP / rate));
    IntVector bitsOfOne = IntVector.broadcast(INTS, Exp2.BITS_OF_ONE);
    IntVector magnitude = IntVector.broadcast(INTS, Integer.MAX_VALUE);
    for (int j = offset; j < offset + count; j += L) {
      IntVector s = FloatVector.fromArray(FLOATS, scores, j).reinterpretAsInts();
      IntVector abs = s.and(magnitude);
      // For floats ≥ 0 the order of the bits as integers is that of the floats.
      FloatVector u = abs.min(clamp).reinterpretAsFloats();
      FloatVector z = u.fma(minusRate, magic);
      FloatVector f = u.fma(minusRate, magic.sub(z));
      FloatVector q = f.fma(Softcap.Q5, Softcap.Q4);
      q = q.fma(f, FloatVector.broadcast(FLOATS, Softcap.Q3));
      q = q.fma(f, FloatVector.broadcast(FLOATS, Softcap.Q2));
      q = q.fma(f, FloatVector.broadcast(FLOATS, Softcap.Q1));
      q = q.fma(f, FloatVector.broadcast(FLOATS, Softcap.Q0));
      IntVector exponent = z.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
      FloatVector power = exponent.add(bitsOfOne).reinterpretAsFloats();
      FloatVector e = power.fma(q.mul(f), power.sub(one));
      IntVector capped = e.mul(minusCap).div(e.add(two)).reinterpretAsInts();
      // The magnitude's sign is clear, or it is −0 for s = 0: both take the sign of s.
      capped =
          capped.and(magnitude).lanewise(VectorOperators.XOR, s.lanewise(VectorOperators.XOR, abs));
      capped.reinterpretAsFloats().intoArray(scores, j);
    }
  }

  @Override
  void addBias(float[] scores, int offset, int count, float[] bias, float factor) {
    FloatVector toRaw = FloatVector.broadcast(FLOATS, factor);
    for (int j = 0; j < count; j += L) {
      FloatVector s = FloatVector.fromArray(FLOATS, scores, offset + j);
      FloatVector.fromArray(FLOATS, bias, j).fma(toRaw, s).intoArray(scores, offset + j);
    }
  }

  /** {@link Dropout#hash} on vectors; below the threshold the difference is negative. */
  @Override
  void drop(float[] weights, int offset, int count, int key, long stream, int threshold) {
    IntVector high = IntVector.broadcast(INTS, (int) (stream >>> 32));
    IntVector least = IntVector.broadcast(INTS, threshold);
    IntVector mix1 = IntVector.broadcast(INTS, Dropout.MIX_1);
    IntVector mix2 = IntVector.broadcast(INTS, Dropout.MIX_2);
    IntVector step = IntVector.broadcast(INTS, L * Dropout.KEY_STEP);
    IntVector all = IntVector.broadcast(INTS, -1);
    IntVector keys = IntVector.fromArray(INTS, KEY_STEPS, 0);
    keys = keys.add(IntVector.broadcast(INTS, key * Dropout.KEY_STEP + (int) stream));
    for (int j = offset; j < offset + count; j += L) {
      IntVector x = keys.lanewise(VectorOperators.LSHR, 16);
      x = x.lanewise(VectorOperators.XOR, keys).mul(mix1).lanewise(VectorOperators.XOR, high);
      x = x.lanewise(VectorOperators.LSHR, 13).lanewise(VectorOperators.XOR, x).mul(mix2);
      x = x.lanewise(VectorOperators.LSHR, 16).lanewise(VectorOperators.XOR, x);
      x = x.lanewise(VectorOperators.LSHR, 1).sub(least).lanewise(VectorOperators.ASHR, 31);
      x = x.lanewise(VectorOperators.XOR, all);
      x = x.and(FloatVector.fromArray(FLOATS, weights, j).reinterpretAsInts());
      x.reinterpretAsFloats().intoArray(weights, j);
      keys = keys.add(step);
    }
  }

  /** O = O + PV: as many columns at once as the registers hold, then the rest of a panel. */
  @Override
  void weightedValues(
      float[] weights,
      int first,
      int keys,
      float[] v,
      int vOffset,
      int width,
      float[] output,
      int oOffset,
      int oStride) {
    int c = 0;
    if (WIDE) {
      for (; c + 4 * L <= width; c += 4 * L) {
        weightedValues6x4(
            weights, first, keys, v, vOffset + c, width, output, oOffset + c, oStride);
      }
    }
    for (; c + 2 * L <= width; c += 2 * L) {
      weightedValues6x2(weights, first, keys, v, vOffset + c, width, output, oOffset + c, oStride);
    }
    for (; c < width; c += L) {
      weightedValues6x1(weights, first, keys, v, vOffset + c, width, output, oOffset + c, oStride);
    }
  }

  private static void weightedValues6x4(
      float[] weights,
      int first,
      int keys,
      float[] v,
      int vOffset,
      int width,
      float[] output,
      int oOffset,
      int oStride) {
    FloatVector a0 = FloatVector.zero(FLOATS);
    FloatVector a1 = a0;
    FloatVector a2 = a0;
    FloatVector a3 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector b2 = a0;
    FloatVector b3 = a0;
    FloatVector c0 = a0;
    FloatVector c1 = a0;
    FloatVector c2 = a0;
    FloatVector c3 = a0;
    FloatVector d0 = a0;
    FloatVector d1 = a0;
    FloatVector d2 = a0;
    FloatVector d3 = a0;
    FloatVector e0 = a0;
    FloatVector e1 = a0;
    FloatVector e2 = a0;
    FloatVector e3 = a0;
    FloatVector f0 = a0;
    FloatVector f1 = a0;
    FloatVector f2 = a0;
    FloatVector f3 = a0;
    for (int j = 0; j < keys; j++) {
      int vj = vOffset + j * width;
      FloatVector v0 = FloatVector.fromArray(FLOATS, v, vj);
      FloatVector v1 = FloatVector.fromArray(FLOATS, v, vj + L);
      FloatVector v2 = FloatVector.fromArray(FLOATS, v, vj + 2 * L);
      FloatVector v3 = FloatVector.fromArray(FLOATS, v, vj + 3 * L);
      FloatVector p = FloatVector.broadcast(FLOATS, weights[first + j]);
      a0 = p.fma(v0, a0);
      a1 = p.fma(v1, a1);
      a2 = p.fma(v2, a2);
      a3 = p.fma(v3, a3);
      p = FloatVector.broadcast(FLOATS, weights[first + SCORE_STRIDE + j]);
      b0 = p.fma(v0, b0);
      b1 = p.fma(v1, b1);
      b2 = p.fma(v2, b2);
      b3 = p.fma(v3, b3);
      p = FloatVector.broadcast(FLOATS, weights[first + 2 * SCORE_STRIDE + j]);
      c0 = p.fma(v0, c0);
      c1 = p.fma(v1, c1);
      c2 = p.fma(v2, c2);
      c3 = p.fma(v3, c3);
      p = FloatVector.broadcast(FLOATS, weights[first + 3 * SCORE_STRIDE + j]);
      d0 = p.fma(v0, d0);
      d1 = p.fma(v1, d1);
      d2 = p.fma(v2, d2);
      d3 = p.fma(v3, d3);
      p = FloatVector.broadcast(FLOATS, weights[first + 4 * SCORE_STRIDE + j]);
      e0 = p.fma(v0, e0);
      e1 = p.fma(v1, e1);
      e2 = p.fma(v2, e2);
      e3 = p.fma(v3, e3);
      p = FloatVector.broadcast(FLOATS, weights[first + 5 * SCORE_STRIDE + j]);
      f0 = p.fma(v0, f0);
      f1 = p.fma(v1, f1);
      f2 = p.fma(v2, f2);
      f3 = p.fma(v3, f3);
    }
    int o = oOffset;
    FloatVector.fromArray(FLOATS, output, o).add(a0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(a1).intoArray(output, o + L);
    FloatVector.fromArray(FLOATS, output, o + 2 * L).add(a2).intoArray(output, o + 2 * L);
    FloatVector.fromArray(FLOATS, output, o + 3 * L).add(a3).intoArray(output, o + 3 * L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(b0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(b1).intoArray(output, o + L);
    FloatVector.fromArray(FLOATS, output, o + 2 * L).add(b2).intoArray(output, o + 2 * L);
    FloatVector.fromArray(FLOATS, output, o + 3 * L).add(b3).intoArray(output, o + 3 * L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(c0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(c1).intoArray(output, o + L);
    FloatVector.fromArray(FLOATS, output, o + 2 * L).add(c2).intoArray(output, o + 2 * L);
    FloatVector.fromArray(FLOATS, output, o + 3 * L).add(c3).intoArray(output, o + 3 * L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(d0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(d1).intoArray(output, o + L);
    FloatVector.fromArray(FLOATS, output, o + 2 * L).add(d2).intoArray(output, o + 2 * L);
    FloatVector.fromArray(FLOATS, output, o + 3 * L).add(d3).intoArray(output, o + 3 * L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(e0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(e1).intoArray(output, o + L);
    FloatVector.fromArray(FLOATS, output, o + 2 * L).add(e2).intoArray(output, o + 2 * L);
    FloatVector.fromArray(FLOATS, output, o + 3 * L).add(e3).intoArray(output, o + 3 * L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(f0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(f1).intoArray(output, o + L);
    FloatVector.fromArray(FLOATS, output, o + 2 * L).add(f2).intoArray(output, o + 2 * L);
    FloatVector.fromArray(FLOATS, output, o + 3 * L).add(f3).intoArray(output, o + 3 * L);
  }

  private static void weightedValues6x2(
      float[] weights,
      int first,
      int keys,
      float[] v,
      int vOffset,
      int width,
      float[] output,
      int oOffset,
      int oStride) {
    FloatVector a0 = FloatVector.zero(FLOATS);
    FloatVector a1 = a0;
    FloatVector b0 = a0;
    FloatVector b1 = a0;
    FloatVector c0 = a0;
    FloatVector c1 = a0;
    FloatVector d0 = a0;
    FloatVector d1 = a0;
    FloatVector e0 = a0;
    FloatVector e1 = a0;
    FloatVector f0 = a0;
    FloatVector f1 = a0;
    for (int j = 0; j < keys; j++) {
      int vj = vOffset + j * width;
      FloatVector v0 = FloatVector.fromArray(FLOATS, v, vj);
      FloatVector v1 = FloatVector.fromArray(FLOATS, v, vj + L);
      FloatVector p = FloatVector.broadcast(FLOATS, weights[first + j]);
      a0 = p.fma(v0, a0);
      a1 = p.fma(v1, a1);
      p = FloatVector.broadcast(FLOATS, weights[first + SCORE_STRIDE + j]);
      b0 = p.fma(v0, b0);
      b1 = p.fma(v1, b1);
      p = FloatVector.broadcast(FLOATS, weights[first + 2 * SCORE_STRIDE + j]);
      c0 = p.fma(v0, c0);
      c1 = p.fma(v1, c1);
      p = FloatVector.broadcast(FLOATS, weights[first + 3 * SCORE_STRIDE + j]);
      d0 = p.fma(v0, d0);
      d1 = p.fma(v1, d1);
      p = FloatVector.broadcast(FLOATS, weights[first + 4 * SCORE_STRIDE + j]);
      e0 = p.fma(v0, e0);
      e1 = p.fma(v1, e1);
      p = FloatVector.broadcast(FLOATS, weights[first + 5 * SCORE_STRIDE + j]);
      f0 = p.fma(v0, f0);
      f1 = p.fma(v1, f1);
    }
    int o = oOffset;
    FloatVector.fromArray(FLOATS, output, o).add(a0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(a1).intoArray(output, o + L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(b0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(b1).intoArray(output, o + L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(c0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(c1).intoArray(output, o + L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(d0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(d1).intoArray(output, o + L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(e0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(e1).intoArray(output, o + L);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(f0).intoArray(output, o);
    FloatVector.fromArray(FLOATS, output, o + L).add(f1).intoArray(output, o + L);
  }

  private static void weightedValues6x1(
      float[] weights,
      int first,
      int keys,
      float[] v,
      int vOffset,
      int width,
      float[] output,
      int oOffset,
      int oStride) {
    FloatVector a0 = FloatVector.zero(FLOATS);
    FloatVector b0 = a0;
    FloatVector c0 = a0;
    FloatVector d0 = a0;
    FloatVector e0 = a0;
    FloatVector f0 = a0;
    for (int j = 0; j < keys; j++) {
      int vj = vOffset + j * width;
      FloatVector v0 = FloatVector.fromArray(FLOATS, v, vj);
      FloatVector p = FloatVector.broadcast(FLOATS, weights[first + j]);
      a0 = p.fma(v0, a0);
      p = FloatVector.broadcast(FLOATS, weights[first + SCORE_STRIDE + j]);
      b0 = p.fma(v0, b0);
      p = FloatVector.broadcast(FLOATS, weights[first + 2 * SCORE_STRIDE + j]);
      c0 = p.fma(v0, c0);
      p = FloatVector.broadcast(FLOATS, weights[first + 3 * SCORE_STRIDE + j]);
      d0 = p.fma(v0, d0);
      p = FloatVector.broadcast(FLOATS, weights[first + 4 * SCORE_STRIDE + j]);
      e0 = p.fma(v0, e0);
      p = FloatVector.broadcast(FLOATS, weights[first + 5 * SCORE_STRIDE + j]);
      f0 = p.fma(v0, f0);
    }
    int o = oOffset;
    FloatVector.fromArray(FLOATS, output, o).add(a0).intoArray(output, o);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(b0).intoArray(output, o);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(c0).intoArray(output, o);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(d0).intoArray(output, o);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(e0).intoArray(output, o);
    o += oStride;
    FloatVector.fromArray(FLOATS, output, o).add(f0).intoArray(output, o);
  }

  @Override
  boolean allEqual(int[] x, int offset, int count, int value) {
    IntVector expected = IntVector.broadcast(INTS, value);
    IntVector different = IntVector.zero(INTS);
    int i = 0;
    for (; i + L <= count; i += L) {
      different =
          different.or(
              IntVector.fromArray(INTS, x, offset + i).lanewise(VectorOperators.XOR, expected));
    }
    int rest = different.reduceLanes(VectorOperators.OR);
    for (; i < count; i++) {
      rest |= x[offset + i] ^ value;
    }
    return rest == 0;
  }

  /** Without their signs, floats are ordered as their bits are. */
  @Override
  boolean allWithin(float[] x, int offset, int count, float bottom, float end) {
    IntVector magnitude = IntVector.broadcast(INTS, Integer.MAX_VALUE);
    IntVector least = magnitude;
    IntVector most = IntVector.zero(INTS);
    int i = 0;
    for (; i + L <= count; i += L) {
      IntVector bits = FloatVector.fromArray(FLOATS, x, offset + i).reinterpretAsInts();
      bits = bits.and(magnitude);
      least = least.min(bits);
      most = most.max(bits);
    }
    int min = least.reduceLanes(VectorOperators.MIN);
    int max = most.reduceLanes(VectorOperators.MAX);
    for (; i < count; i++) {
      int bits = Float.floatToRawIntBits(x[offset + i]) & Integer.MAX_VALUE;
      min = Math.min(min, bits);
      max = Math.max(max, bits);
    }
    return min >= Float.floatToRawIntBits(bottom) && max < Float.floatToRawIntBits(end);
  }

  @Override
  void unpack(ElementType type, short[] source, int from, int count, float[] target, int to) {
    if (type == ElementType.BF16) {
      unpackBf16(source, from, count, target, to);
    } else {
      unpackF16(source, from, count, target, to);
    }
  }

  private static void unpackBf16(short[] source, int from, int count, float[] target, int to) {
    for (int i = 0; i < count; i += L) {
      ShortVector halves = ShortVector.fromArray(HALVES, source, from + i);
      IntVector bits = (IntVector) halves.convertShape(VectorOperators.S2I, INTS, 0);
      bits = bits.lanewise(VectorOperators.LSHL, 16);
      bits.reinterpretAsFloats().intoArray(target, to + i);
    }
  }

  /**
   * A half with the exponent field E and the fraction F is 2^(E−15) · (1 + F), or 2^-14 · F where E
   * is 0. With the exponent's bias moved to that of float32, x = 2^(E−15) · (1 + F) holds for E = 0
   * too, and the half is min(x, 2x − 2^-14): the second is the smaller below 2^-14 only, and is
   * exact there. A product of the shifted bits with 2^112 would be shorter, but reads a subnormal
   * float for each subnormal half, for which some CPUs take a hundred times as long.
   */
  private static void unpackF16(short[] source, int from, int count, float[] target, int to) {
    IntVector sign = IntVector.broadcast(INTS, 0x8000_0000);
    IntVector exponentAndFraction = IntVector.broadcast(INTS, 0x0fff_e000);
    IntVector bias = IntVector.broadcast(INTS, (127 - 15) << 23);
    FloatVector two = FloatVector.broadcast(FLOATS, 2f);
    FloatVector minusSmallestNormal = FloatVector.broadcast(FLOATS, -0x1p-14f);
    for (int i = 0; i < count; i += L) {
      ShortVector halves = ShortVector.fromArray(HALVES, source, from + i);
      IntVector bits = (IntVector) halves.convertShape(VectorOperators.S2I, INTS, 0);
      IntVector x = bits.lanewise(VectorOperators.LSHL, 13).and(exponentAndFraction).add(bias);
      // Both are not negative, so that their bits compare as they do.
      IntVector y = x.reinterpretAsFloats().fma(two, minusSmallestNormal).reinterpretAsInts();
      x.min(y).or(bits.and(sign)).reinterpretAsFloats().intoArray(target, to + i);
    }
  }
}

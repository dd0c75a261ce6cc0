package io.sparkattention.kernels;

import java.util.Objects;

/**
 * The keys and values of one block, packed once by their owner and shipped as they are.
 *
 * <ul>
 *   <li>Keys in panels of {@value #PANEL_KEYS} keys: {@code [numKeyValueHeads, ceil(keys / 64),
 *       keyDim, 64]}; missing keys of the last panel are zero.
 *   <li>Values in panels of up to {@value #PANEL_COLUMNS} columns: {@code [numKeyValueHeads,
 *       panels, keys, width]}, where width is 64 but for the last panel, which holds the remaining
 *       columns rounded up to 16; missing columns are zero.
 * </ul>
 *
 * <p>All elements are of one {@link ElementType} and finite.
 */
public final class KeyValueBlock {
  /** Keys of a panel: four vectors of AVX-512, one row of the micro-kernel's accumulators. */
  public static final int PANEL_KEYS = 64;

  /** Columns of a value panel, for the same reason. */
  public static final int PANEL_COLUMNS = 64;

  /** Value columns are padded to the virtual vector of the row sums, the widest there is. */
  static final int COLUMN_STEP = 16;

  private final HeadLayout layout;
  private final int keys;
  private final Panels keyPanels;
  private final Panels valuePanels;
  private final float[] keyNorms;

  /**
   * Wraps arrays that an earlier {@link Packer} made.
   *
   * @param valuePanels of the same element type as the keys
   * @param keyNorms [numKeyValueHeads]: the largest Euclidean norm of a key of the head, as stored
   */
  public KeyValueBlock(
      HeadLayout layout, int keys, Panels keyPanels, Panels valuePanels, float[] keyNorms) {
    if (keyPanels.length() != keyElements(layout, keys)
        || valuePanels.length() != valueElements(layout, keys)
        || keyPanels.type() != valuePanels.type()
        || keyNorms.length != layout.numKeyValueHeads()) {
      throw new IllegalArgumentException(
          "Invalid key/value block of %d keys for %s: %d key elements in %s, %d value elements in %s, %d norms"
              .formatted(
                  keys,
                  layout,
                  keyPanels.length(),
                  keyPanels.type(),
                  valuePanels.length(),
                  valuePanels.type(),
                  keyNorms.length));
    }
    this.layout = layout;
    this.keys = keys;
    this.keyPanels = keyPanels;
    this.valuePanels = valuePanels;
    this.keyNorms = keyNorms;
  }

  public HeadLayout layout() {
    return layout;
  }

  public int keys() {
    return keys;
  }

  /** The type of the stored keys and values. */
  public ElementType type() {
    return keyPanels.type();
  }

  /** Bytes of the keys and values. */
  public long bytes() {
    return keyPanels.bytes() + valuePanels.bytes();
  }

  /** {@link #bytes()} of a block that nobody has packed yet. */
  public static long bytes(HeadLayout layout, int keys, ElementType type) {
    return (long) type.bytes() * keyElements(layout, keys)
        + (long) type.bytes() * valueElements(layout, keys);
  }

  /** [numKeyValueHeads, ceil(keys / 64), keyDim, 64]; not a copy. */
  public Panels keyPanels() {
    return keyPanels;
  }

  /** [numKeyValueHeads, panels, keys, width]; not a copy. */
  public Panels valuePanels() {
    return valuePanels;
  }

  /** [numKeyValueHeads]: the largest Euclidean norm of a stored key of the head; not a copy. */
  public float[] keyNorms() {
    return keyNorms;
  }

  /**
   * The mean keys of consecutive stretches of the block, the last of which may be shorter.
   *
   * @param stretch keys of each
   * @return [numKeyValueHeads, ceil(keys / stretch), keyDim]
   */
  public float[] meanKeys(int stretch) {
    int count = QueryBlock.ceilDiv(keys, stretch);
    float[] means = new float[layout.numKeyValueHeads() * count * layout.keyDim()];
    for (int head = 0; head < layout.numKeyValueHeads(); head++) {
      for (int i = 0; i < count; i++) {
        int end = Math.min((i + 1) * stretch, keys);
        for (int d = 0; d < layout.keyDim(); d++) {
          double sum = 0;
          for (int row = i * stretch; row < end; row++) {
            int offset = keyPanelOffset(head, row) + d * PANEL_KEYS + row % PANEL_KEYS;
            sum += keyPanels.get(offset);
          }
          means[(head * count + i) * layout.keyDim() + d] = (float) (sum / (end - i * stretch));
        }
      }
    }
    return means;
  }

  /** Index in {@link #keyPanels()} of the panel that holds key {@code row} of a head. */
  int keyPanelOffset(int keyValueHead, int row) {
    int panels = QueryBlock.ceilDiv(keys, PANEL_KEYS);
    return (keyValueHead * panels + row / PANEL_KEYS) * layout.keyDim() * PANEL_KEYS;
  }

  /** Index in {@link #valuePanels()} of the panel that holds {@code column} of a head. */
  int valuePanelOffset(int keyValueHead, int column) {
    int panelStart = column / PANEL_COLUMNS * PANEL_COLUMNS;
    return (keyValueHead * paddedColumns(layout.valueDim()) + panelStart) * keys;
  }

  /** Value columns rounded up to {@link #COLUMN_STEP}. */
  static int paddedColumns(int valueDim) {
    return QueryBlock.ceilDiv(valueDim, COLUMN_STEP) * COLUMN_STEP;
  }

  /** Width of the value panel that holds {@code column}. */
  static int panelWidth(int valueDim, int column) {
    int panelStart = column / PANEL_COLUMNS * PANEL_COLUMNS;
    return Math.min(PANEL_COLUMNS, paddedColumns(valueDim) - panelStart);
  }

  private static int keyElements(HeadLayout layout, int keys) {
    long padded = (long) QueryBlock.ceilDiv(keys, PANEL_KEYS) * PANEL_KEYS;
    return Math.toIntExact(Math.multiplyExact(padded * layout.numKeyValueHeads(), layout.keyDim()));
  }

  private static int valueElements(HeadLayout layout, int keys) {
    return Math.toIntExact(
        Math.multiplyExact(
            (long) keys * layout.numKeyValueHeads(), paddedColumns(layout.valueDim())));
  }

  /**
   * Packs keys and values row by row and rounds them to the element type, to nearest, ties to even.
   * Each row of each head is put once.
   */
  public static final class Packer {
    private final HeadLayout layout;
    private final int keys;
    private final ElementType type;
    private final Panels keyPanels;
    private final Panels valuePanels;
    private final float[] keyNorms;
    private final float maxValue;

    /** Packs in {@link ElementType#F32}, where nothing is rounded. */
    public Packer(HeadLayout layout, int keys) {
      this(layout, keys, ElementType.F32);
    }

    public Packer(HeadLayout layout, int keys, ElementType type) {
      this.layout = layout;
      this.keys = keys;
      this.type = type;
      this.keyPanels = Panels.zeros(type, keyElements(layout, keys));
      this.valuePanels = Panels.zeros(type, valueElements(layout, keys));
      this.keyNorms = new float[layout.numKeyValueHeads()];
      // A weight is at most 1, so no sum over the block's keys exceeds 2^127.
      this.maxValue = Math.min(Math.scalb(1f, 127) / keys, type.max());
    }

    /**
     * Puts the key of one key/value head and row.
     *
     * @param source holds the key's {@code keyDim} elements from {@code offset} on
     * @throws InvalidElementException if an element is not finite, also when rounded
     */
    public void putKey(int head, int row, float[] source, int offset) {
      // Beyond the block lies another head, which would be overwritten unnoticed.
      Objects.checkIndex(row, keys);
      int keyDim = layout.keyDim();
      int panels = QueryBlock.ceilDiv(keys, PANEL_KEYS);
      int target = (head * panels + row / PANEL_KEYS) * keyDim * PANEL_KEYS + row % PANEL_KEYS;
      double squares = 0;
      for (int d = 0; d < keyDim; d++) {
        float x = keyPanels.put(target + d * PANEL_KEYS, source[offset + d]);
        if (!Float.isFinite(x)) {
          String expected = Float.isFinite(source[offset + d]) ? expected(type.max()) : "finite";
          throw new InvalidElementException("key", head, row, source[offset + d], expected);
        }
        squares += (double) x * x;
      }
      keyNorms[head] = Math.max(keyNorms[head], (float) Math.sqrt(squares));
    }

    /**
     * Puts the value of one key/value head and row.
     *
     * @param source holds the value's {@code valueDim} elements from {@code offset} on
     * @throws InvalidElementException if an element, when rounded, is not finite or exceeds 2^127 /
     *     keys
     */
    public void putValue(int head, int row, float[] source, int offset) {
      Objects.checkIndex(row, keys);
      int valueDim = layout.valueDim();
      int padded = paddedColumns(valueDim);
      for (int start = 0; start < valueDim; start += PANEL_COLUMNS) {
        int width = Math.min(PANEL_COLUMNS, padded - start);
        int target = (head * padded + start) * keys + row * width;
        for (int c = start; c < Math.min(start + PANEL_COLUMNS, valueDim); c++) {
          float x = valuePanels.put(target + c - start, source[offset + c]);
          if (!(Math.abs(x) <= maxValue)) {
            throw new InvalidElementException(
                "value", head, row, source[offset + c], expected(maxValue));
          }
        }
      }
    }

    private String expected(float max) {
      String rounded = type == ElementType.F32 ? "" : " when rounded to " + type;
      return "finite and at most " + max + rounded;
    }

    public KeyValueBlock pack() {
      return new KeyValueBlock(layout, keys, keyPanels, valuePanels, keyNorms);
    }
  }
}

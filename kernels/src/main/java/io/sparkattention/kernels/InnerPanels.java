package io.sparkattention.kernels;

import static io.sparkattention.kernels.AttentionKernel.INNER_KEYS;
import static io.sparkattention.kernels.AttentionKernel.PANEL_KEYS;

/**
 * The keys and values of one head and inner block as float32 panels, which is what the
 * micro-kernels read. Those of {@link ElementType#F32} are the block's own arrays; 16-bit ones are
 * unpacked into scratch, once for each group of query rows. Each row does one multiply-add with
 * each element, so the group's size is what the unpacking is spread over.
 */
final class InnerPanels {
  private final KeyValueBlock block;
  private final HeadLayout layout;
  private final float[] keys;
  private final float[] values;

  /** Indices in {@link #keys} and {@link #values} of the head's key {@link #firstKey}. */
  private int keyStart;

  private int valueStart;

  /** Row of the block that stands at the starts. */
  private int firstKey;

  /** Keys in one value panel of {@link #values}. */
  private final int panelKeys;

  InnerPanels(KeyValueBlock block) {
    this.block = block;
    this.layout = block.layout();
    boolean inPlace = block.type() == ElementType.F32;
    int columns = KeyValueBlock.paddedColumns(layout.valueDim());
    this.keys = inPlace ? block.keyPanels().floats() : new float[INNER_KEYS * layout.keyDim()];
    this.values = inPlace ? block.valuePanels().floats() : new float[INNER_KEYS * columns];
    this.panelKeys = inPlace ? block.keys() : INNER_KEYS;
  }

  /** [panels, keyDim, 64], to be read from {@link #keyOffset} on. */
  float[] keys() {
    return keys;
  }

  /** [keys, width], to be read from {@link #valueOffset} on. */
  float[] values() {
    return values;
  }

  /** Index in {@link #keys()} of the panel of key {@code row}, the first of its panel. */
  int keyOffset(int row) {
    return keyStart + (row - firstKey) * layout.keyDim();
  }

  /** Index in {@link #values()} of the value of key {@code row} in the panel of {@code column}. */
  int valueOffset(int row, int column) {
    int width = KeyValueBlock.panelWidth(layout.valueDim(), column);
    return valueStart + column * panelKeys + (row - firstKey) * width;
  }

  /**
   * Makes the keys and values that some of a group's rows see in an inner block readable.
   *
   * @param inner the inner block's first row in the block
   */
  void load(AttentionKernel kernel, RowGroups.Group group, int inner, VisibleKeys visible) {
    int keyValueHead = layout.keyValueHead(group.head());
    if (block.type() == ElementType.F32) {
      keyStart = block.keyPanelOffset(keyValueHead, 0);
      valueStart = block.valuePanelOffset(keyValueHead, 0);
      return;
    }
    int innerEnd = Math.min(inner + INNER_KEYS, block.keys());
    int first = inner / PANEL_KEYS;
    int count = QueryBlock.ceilDiv(innerEnd - inner, PANEL_KEYS);
    int rows = group.to() - group.from();
    int touched = visible.touched(group.head(), group.from(), rows, first, count, block.keys());
    int before = touched == 0 ? 0 : Integer.numberOfTrailingZeros(touched);
    int panels = Integer.SIZE - Integer.numberOfLeadingZeros(touched) - before;
    firstKey = (first + before) * PANEL_KEYS;
    unpackKeys(kernel, keyValueHead, panels * PANEL_KEYS);
    unpackValues(kernel, keyValueHead, Math.min(panels * PANEL_KEYS, innerEnd - firstKey));
  }

  private void unpackKeys(AttentionKernel kernel, int keyValueHead, int count) {
    Panels source = block.keyPanels();
    int offset = block.keyPanelOffset(keyValueHead, firstKey);
    kernel.unpack(source.type(), source.halves(), offset, count * layout.keyDim(), keys, 0);
  }

  private void unpackValues(AttentionKernel kernel, int keyValueHead, int count) {
    Panels source = block.valuePanels();
    for (int column = 0; column < layout.valueDim(); column += KeyValueBlock.PANEL_COLUMNS) {
      int width = KeyValueBlock.panelWidth(layout.valueDim(), column);
      int offset = block.valuePanelOffset(keyValueHead, column) + firstKey * width;
      kernel.unpack(
          source.type(), source.halves(), offset, count * width, values, column * INNER_KEYS);
    }
  }
}

package io.sparkattention.driver.exchange;

import io.sparkattention.kernels.HeadLayout;
import io.sparkattention.partitioning.Block;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * The finished attention of some heads of a query block.
 *
 * @param firstHead the first of them, counted in all heads
 * @param rows [tokens, the heads, valueDim] and [tokens, the heads]
 */
record HeadRows(int firstHead, AttentionRows rows) {
  /**
   * Joins rows of some heads to rows of all.
   *
   * @param parts each head of each query block once, in any order
   */
  static List<AttentionRows> join(Iterator<HeadRows> parts, HeadLayout layout) {
    Map<Block, AttentionRows> joined = new HashMap<>();
    List<AttentionRows> blocks = new ArrayList<>();
    while (parts.hasNext()) {
      HeadRows part = parts.next();
      Block block = part.rows.block();
      AttentionRows all = joined.get(block);
      if (all == null) {
        int rowHeads = Math.multiplyExact(block.tokens(), layout.numHeads());
        float[] output = new float[Math.multiplyExact(rowHeads, layout.valueDim())];
        all = new AttentionRows(block, output, new float[rowHeads]);
        joined.put(block, all);
        blocks.add(all);
      }
      part.copyTo(all, layout);
    }
    return blocks;
  }

  private void copyTo(AttentionRows all, HeadLayout layout) {
    int tokens = rows.block().tokens();
    int heads = rows.logSumExp().length / tokens;
    int dim = layout.valueDim();
    for (int row = 0; row < tokens; row++) {
      int from = row * heads;
      int to = row * layout.numHeads() + firstHead;
      System.arraycopy(rows.output(), from * dim, all.output(), to * dim, heads * dim);
      System.arraycopy(rows.logSumExp(), from, all.logSumExp(), to, heads);
    }
  }
}

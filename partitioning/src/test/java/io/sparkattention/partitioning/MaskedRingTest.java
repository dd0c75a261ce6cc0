package io.sparkattention.partitioning;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class MaskedRingTest {
  static List<MaskOracle> masks() {
    return MaskOracle.all();
  }

  /** Each rank visits the shards in which it sees a key, in ring order, and counts its pairs. */
  @ParameterizedTest
  @MethodSource("masks")
  void aRankFoldsWhatItsMaskShows(MaskOracle oracle) {
    for (int tokens : new int[] {1, 7, 13}) {
      List<Block> keys = new BlockGrid(2).blocks(0, 0, tokens);
      // As if some query blocks were cut.
      List<Block> queries = new ArrayList<>(new BlockGrid(3).blocks(0, 0, tokens));
      for (int ranks : new int[] {1, 3, 5, 9}) {
        int[] queryRanks = BlockAssignment.ZIGZAG.ranks(new long[queries.size()], ranks);
        int[] keyShards = BlockAssignment.CONTIGUOUS.ranks(new long[keys.size()], ranks);
        double[] unit = new double[ranks];
        Arrays.fill(unit, 1);
        List<List<Block>> runs = RingSchedule.runs(keys, keyShards, 4);
        int[] runShards = RingSchedule.runShards(runs, keyShards);
        MaskedRing ring =
            new MaskedRing(oracle.mask(), queries, queryRanks, runs, runShards, 1, unit);
        for (int rank = 0; rank < ranks; rank++) {
          int expectedNext = 0;
          for (int step = 0; step < ranks; step++) {
            int shard = (rank + step) % ranks;
            long pairs = 0;
            for (int q = 0; q < queries.size(); q++) {
              for (int k = 0; k < keys.size(); k++) {
                if (queryRanks[q] == rank && keyShards[k] == shard) {
                  pairs += oracle.visiblePairs(queries.get(q), keys.get(k), 0);
                }
              }
            }
            if (pairs > 0) {
              assertThat(ring.nextStep(rank, expectedNext)).isEqualTo(step);
              assertThat(ring.nextStep(rank, step)).isEqualTo(step);
              assertThat(ring.foldSeconds(rank, step)).isEqualTo(pairs);
              assertThat(ring.fetchBytes(rank, step))
                  .isEqualTo(
                      tokens(oracle, own(queries, queryRanks, rank), runs, runShards, shard));
              expectedNext = step + 1;
            }
          }
          assertThat(ring.nextStep(rank, expectedNext)).isEqualTo(-1);
        }
      }
    }
  }

  private static List<Block> own(List<Block> blocks, int[] ranks, int rank) {
    return IntStream.range(0, ranks.length)
        .filter(i -> ranks[i] == rank)
        .mapToObj(blocks::get)
        .toList();
  }

  /** Keys of the runs of a shard in which some of the queries sees one. */
  private static double tokens(
      MaskOracle oracle, List<Block> queries, List<List<Block>> runs, int[] runShards, int shard) {
    double tokens = 0;
    for (int run = 0; run < runShards.length; run++) {
      List<Block> keys = runs.get(run);
      boolean seen =
          queries.stream()
              .anyMatch(q -> keys.stream().anyMatch(k -> oracle.visiblePairs(q, k, 0) > 0));
      if (runShards[run] == shard && seen) {
        tokens += keys.stream().mapToInt(Block::tokens).sum();
      }
    }
    return tokens;
  }
}

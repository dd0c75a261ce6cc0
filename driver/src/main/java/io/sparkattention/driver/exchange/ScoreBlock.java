package io.sparkattention.driver.exchange;

import io.sparkattention.driver.AttentionPlan;
import io.sparkattention.partitioning.Block;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import scala.Tuple2;

/**
 * The scores of a pair of blocks of one sequence, which attention itself never keeps: asked for
 * with small inputs.
 *
 * @param scores [numHeads, query tokens, key tokens]
 */
@SuppressWarnings("ArrayRecordComponent")
public record ScoreBlock(Block queries, Block keys, float[] scores) {

  /**
   * Scores of all pairs, those that the mask leaves empty included.
   *
   * @param rows the finished attention, whose log-sum-exps make weights of scores
   */
  public static JavaRDD<ScoreBlock> of(
      AttentionPlan plan,
      ScoreStage stage,
      JavaRDD<PlacedQueries> queries,
      JavaRDD<PlacedKeyValues> keyValues,
      JavaRDD<AttentionRows> rows) {
    PairFold fold = PairFold.of(plan, keyValues);
    JavaPairRDD<Block, float[]> logSumExps =
        rows.mapToPair(finished -> new Tuple2<>(finished.block(), finished.logSumExp()));
    return queries
        .mapToPair(placed -> new Tuple2<>(placed.block(), placed))
        .join(logSumExps)
        .values()
        .cartesian(keyValues)
        .filter(pair -> pair._1()._1().block().sequence() == pair._2().block().sequence())
        .map(pair -> of(fold, stage, pair._1(), pair._2()));
  }

  private static ScoreBlock of(
      PairFold fold,
      ScoreStage stage,
      Tuple2<PlacedQueries, float[]> queries,
      PlacedKeyValues keys) {
    float[] scores = fold.scores(queries._1(), keys, stage);
    Block q = queries._1().block();
    if (stage == ScoreStage.SOFTMAX) {
      softmax(scores, queries._2(), q.tokens(), keys.block().tokens());
    }
    return new ScoreBlock(q, keys.block(), scores);
  }

  /**
   * Scores to weights, in place.
   *
   * @param logSumExp [query tokens, numHeads]
   */
  private static void softmax(float[] scores, float[] logSumExp, int queries, int keys) {
    int heads = logSumExp.length / queries;
    for (int i = 0; i < scores.length; i++) {
      int headRow = i / keys;
      float sum = logSumExp[headRow % queries * heads + headRow / queries];
      boolean seen = scores[i] != Float.NEGATIVE_INFINITY;
      scores[i] = seen ? (float) Math.exp((double) scores[i] - sum) : 0;
    }
  }
}

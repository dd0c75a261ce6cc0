package io.sparkattention.driver;

import io.sparkattention.driver.exchange.AttentionMeter;
import io.sparkattention.partitioning.Coverage;

/**
 * What a run did and how fast, in the terms of the command-line contract.
 *
 * @param tokens queries of all sequences
 * @param heads query heads
 * @param headDim elements of a query and of a key
 * @param mask its text, of long lists the beginning
 * @param scores softcap, biases, sinks and dropout as far as they are set, else empty; of long
 *     lists the beginning
 * @param approximate whether the mask chooses keys by the numbers, as block top-k does
 * @param unmaskedPairs pairs of a query and a key that the mask leaves visible, for each head;
 *     where heads differ their mean
 * @param blocksEmpty pairs of a query block and a key block of which the mask leaves nothing
 * @param blocksFull those of which it leaves everything
 * @param blocksPartial those of which it leaves a part
 * @param flops 2 · unmasked pairs · (keyDim + valueDim) per query head
 * @param attentionSeconds wall time from the first attention task's start to the last one's end;
 *     reading included where keys and values are folded as they are read
 * @param predictedSeconds what the plan's cost model says {@code attentionSeconds} takes
 * @param cores cores of the task slots used
 * @param peakGflopsPerCore FMA peak measured in this run, all slots busy; null without Vector API
 * @param efficiency flops / (attentionSeconds · cores · peak); null without a peak
 * @param computeSeconds spent on folding keys and values; like the three that follow a sum over
 *     tasks, of which several run at once
 * @param waitSeconds spent on waiting for keys, values or states that were not there yet
 * @param fetchSeconds spent on reading them, in part while the task computed
 * @param finishSeconds spent on merging states that met, and on making rows of them
 * @param bytesMoved that executors received from other processes, by Spark's counts
 * @param bytesPlanned what the plan said of them
 * @param skewMaxOverMean work per rank
 * @param peakHeapBytes largest use after a collection of any executor
 * @param keyValueType element type of packed keys and values
 */
public record AttentionReport(
    long tokens,
    int heads,
    int headDim,
    String exchange,
    String assignment,
    int shards,
    int blockTokens,
    String mask,
    String scores,
    boolean approximate,
    long unmaskedPairs,
    long blocksEmpty,
    long blocksFull,
    long blocksPartial,
    double flops,
    double attentionSeconds,
    double predictedSeconds,
    double gflops,
    int cores,
    Double peakGflopsPerCore,
    Double efficiency,
    double computeSeconds,
    double waitSeconds,
    double fetchSeconds,
    double finishSeconds,
    long bytesMoved,
    long bytesPlanned,
    double skewMaxOverMean,
    long peakHeapBytes,
    String keyValueType,
    String kernel) {

  static AttentionReport of(
      AttentionPlan plan, AttentionMeter.Reading reading, int cores, double peak, String kernel) {
    // The clock's resolution: a shorter run has no time of its own.
    double seconds = Math.max(reading.seconds(), 1e-3);
    int heads = plan.layout().numHeads();
    long pairs = plan.pairsAreBound() ? reading.countedPairs() / heads : plan.unmaskedPairs();
    double flops = plan.pairsAreBound() ? plan.flops(reading.countedPairs()) : plan.flops();
    double gflops = flops / seconds / 1e9;
    return new AttentionReport(
        plan.tokens(),
        heads,
        plan.layout().keyDim(),
        plan.exchange().toString(),
        plan.assignment().toString(),
        plan.shards(),
        plan.grid().blockTokens(),
        plan.mask().summary(),
        plan.scores().summary(),
        plan.mask().topK().isPresent(),
        pairs,
        plan.blockPairs(Coverage.EMPTY),
        plan.blockPairs(Coverage.FULL),
        plan.blockPairs(Coverage.PARTIAL),
        flops,
        seconds,
        plan.predicted().attentionSeconds(),
        gflops,
        cores,
        Double.isNaN(peak) ? null : peak,
        Double.isNaN(peak) ? null : gflops / (cores * peak),
        reading.times().computeNanos() / 1e9,
        reading.times().waitNanos() / 1e9,
        reading.times().fetchNanos() / 1e9,
        reading.times().finishNanos() / 1e9,
        reading.bytesMoved(),
        plan.bytesPlanned(),
        plan.skewMaxOverMean(),
        reading.peakHeapBytes(),
        plan.keyValueType().toString(),
        kernel);
  }
}

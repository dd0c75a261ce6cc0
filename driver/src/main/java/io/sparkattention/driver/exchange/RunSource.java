package io.sparkattention.driver.exchange;

import java.util.List;

/** The runs of keys and values that a task visits, wherever they lie. */
interface RunSource {
  /** How many runs the task visits. */
  int visits();

  /** Reads one run; called from a {@link TaskThread}. */
  List<PlacedKeyValues> read(int visit);

  /** Bytes of the runs read so far that came from other executors. */
  long bytesMoved();
}

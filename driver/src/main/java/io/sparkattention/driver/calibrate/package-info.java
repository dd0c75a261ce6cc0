/** Measures what the planner's cost model knows of a cluster. */
package io.sparkattention.driver.calibrate;

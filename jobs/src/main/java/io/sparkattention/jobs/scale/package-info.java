/** Scaling experiments: a matrix of configurations, their results, and a page of plots. */
package io.sparkattention.jobs.scale;

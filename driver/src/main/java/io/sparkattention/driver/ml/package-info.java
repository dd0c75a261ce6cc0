/** Attention and trained encoders as stages of Spark MLlib's pipelines. */
package io.sparkattention.driver.ml;

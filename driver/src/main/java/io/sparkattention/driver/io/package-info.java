/** Tensors and tables on any file system that Hadoop knows. */
package io.sparkattention.driver.io;

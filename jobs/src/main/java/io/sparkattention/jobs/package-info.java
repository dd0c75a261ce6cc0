/** One class per command of the command line. */
package io.sparkattention.jobs;

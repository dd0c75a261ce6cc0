/** One class per command of the command line; what {@code scale} needs has a package of its own. */
package io.sparkattention.jobs;

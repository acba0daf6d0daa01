/**
 * Writes new images: one writer for each format that a copy can have, all fed with the pieces of the disk that hold something, in
 * ascending order, each once. What is not fed reads as zeros.
 */
package io.lacuna.diskimage.write;

package io.lacuna.diskimage.block;

/**
 * One block that goes to another place of its file, with all that is its own: {@link BlockArea#slotSize()} bytes.
 *
 * @param guestOffset first byte of the guest's disk that the block holds
 * @param file index into {@link BlockMap#files()}
 * @param from byte of the file where it lies
 * @param to byte of the file where it will lie, below {@code from}
 */
public record BlockMove(long guestOffset, int file, long from, long to) {
}

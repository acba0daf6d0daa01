package io.lacuna.blockio;

/**
 * What the host stores of a file.
 *
 * @param allocated ranges with storage behind them, preallocated ones included; may reach behind the file's end
 * @param shared those of them that another file or snapshot of the host shares: punching frees nothing there
 * @param exact false if the host cannot tell, and {@code allocated} is simply everything
 */
public record HostMap(ExtentSet allocated, ExtentSet shared, boolean exact) {
}

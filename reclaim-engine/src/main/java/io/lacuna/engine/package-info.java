/**
 * Plans and carries out a reclaim: {@link io.lacuna.engine.Reclaimer} is the way in for Java users, and the command line does
 * nothing that it could not. Knows no on-disk offset and prints nothing.
 *
 * <pre>{@code
 * try (ReclaimSession session = Reclaimer.open(path, ReclaimOptions.builder().build())) {
 *     ReclaimPlan plan = session.plan();
 *     ImageReport report = session.apply(plan, Progress.NONE);
 * }
 * }</pre>
 */
package io.lacuna.engine;

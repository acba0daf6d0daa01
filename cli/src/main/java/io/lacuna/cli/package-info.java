/** The lacuna command: arguments, progress, rendering and exit status. Everything else is in the engine. */
package io.lacuna.cli;

/** VDI: VirtualBox's disk images; dynamic, fixed and differencing. */
package io.lacuna.diskimage.vdi;

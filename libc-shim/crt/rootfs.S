/* The image's root file system: a cpio archive (newc). ROOTFS is its path; by default the build passes an empty one. */
	.section .rootfs,"a",@progbits
	.balign 16
	.incbin ROOTFS
	.section .note.GNU-stack,"",@progbits

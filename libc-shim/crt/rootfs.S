/* The image's root file system: a cpio archive (newc). ROOTFS is its path; the build gives an empty one by default. */
	.section .rootfs,"a",@progbits
	.balign 16
	.incbin ROOTFS
	.section .note.GNU-stack,"",@progbits

"""From a tape to packets: dead code, storage by lifetime, views without copies, kernel addresses."""

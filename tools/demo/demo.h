/*
 * The commands of the demonstration: each is main() of its own, in command_NAME.c. Messages,
 * options and .npy files are those of the dmstore command (../report.h, ../options.h,
 * ../npy_file.h).
 */
#ifndef DMSTORE_DEMO_H
#define DMSTORE_DEMO_H

int command_files(int argc, char **argv);
int command_show(int argc, char **argv);
int command_train(int argc, char **argv);

#endif

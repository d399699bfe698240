/*
 * The commands of dmstore: one function each, in tools/command_NAME.c. They receive the arguments
 * from the command's name on (argv[0] is "ingest") and return the exit status of the program (see
 * report.h).
 */
#ifndef DMSTORE_TOOLS_COMMANDS_H
#define DMSTORE_TOOLS_COMMANDS_H

int command_add_column(int argc, char **argv);
int command_append(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_cluster(int argc, char **argv);
int command_compact(int argc, char **argv);
int command_compare(int argc, char **argv);
int command_counterfactual(int argc, char **argv);
int command_create(int argc, char **argv);
int command_devices(int argc, char **argv);
int command_embed(int argc, char **argv);
int command_eval(int argc, char **argv);
int command_export(int argc, char **argv);
int command_export_fit(int argc, char **argv);
int command_fit(int argc, char **argv);
int command_fits(int argc, char **argv);
int command_get(int argc, char **argv);
int command_gram(int argc, char **argv);
int command_import_fit(int argc, char **argv);
int command_influence(int argc, char **argv);
int command_info(int argc, char **argv);
int command_ingest(int argc, char **argv);
int command_leakage(int argc, char **argv);
int command_ls(int argc, char **argv);
int command_merge(int argc, char **argv);
int command_merge_fits(int argc, char **argv);
int command_missing(int argc, char **argv);
int command_ols(int argc, char **argv);
int command_predict(int argc, char **argv);
int command_recover(int argc, char **argv);
int command_report(int argc, char **argv);
int command_rm(int argc, char **argv);
int command_rm_fit(int argc, char **argv);
int command_sample(int argc, char **argv);
int command_seal(int argc, char **argv);
int command_select(int argc, char **argv);
int command_similar(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_support(int argc, char **argv);
int command_top(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_warm(int argc, char **argv);

#endif

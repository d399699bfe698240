# Lasso paths by glmnet, for peers_solvers.py, which makes the files and reads the results.
#
#   Rscript peers_glmnet.R DIRECTORY PREFIX METHOD THRESHOLD
#
# DIRECTORY/x has the standardised masks (float64, column after column); PREFIX.sizes rows, columns, lambdas and targets
# (int32); PREFIX.y and PREFIX.lambdas one after another what each target has. Written: PREFIX.weights, columns x
# lambdas for each target, and PREFIX.seconds, one for each, of the call of glmnet alone.
suppressMessages(library(glmnet))

arguments <- commandArgs(trailingOnly = TRUE)
prefix <- arguments[2]
sizes <- readBin(paste0(prefix, ".sizes"), "integer", 4)
row_ct <- sizes[1]; column_ct <- sizes[2]; lambda_ct <- sizes[3]; target_ct <- sizes[4]
x <- matrix(readBin(file.path(arguments[1], "x"), "double", as.double(row_ct) * column_ct), row_ct, column_ct)
y <- matrix(readBin(paste0(prefix, ".y"), "double", row_ct * target_ct), row_ct, target_ct)
lambdas <- matrix(readBin(paste0(prefix, ".lambdas"), "double", lambda_ct * target_ct), lambda_ct, target_ct)
glmnet.control(fdev = 0, devmax = 1)  # whole paths
solve <- function(target, path) {
    glmnet(x, y[, target], family = "gaussian", lambda = path, standardize = FALSE, intercept = FALSE,
           type.gaussian = arguments[3], thresh = as.double(arguments[4]), maxit = 1e9)
}
invisible(solve(1, lambdas[1:2, 1]))  # what only the first call does is over

weights <- file(paste0(prefix, ".weights"), "wb")
seconds <- numeric(target_ct)
for (target in seq_len(target_ct)) {
    start <- proc.time()[["elapsed"]]
    fit <- solve(target, lambdas[, target])
    seconds[target] <- proc.time()[["elapsed"]] - start
    stopifnot(ncol(fit$beta) == lambda_ct)
    writeBin(as.vector(as.matrix(fit$beta)), weights)
}
close(weights)
writeBin(seconds, paste0(prefix, ".seconds"))

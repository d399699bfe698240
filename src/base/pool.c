/*
 * The thread pool: callers of dms_pool_run() put a job (a counted set of tasks, on their own stack)
 * on the pool's list, workers and the caller take task numbers from it under the pool's one lock.
 *
 * Invariants: a job is on the list exactly while it has tasks that nobody has begun; it is complete
 * when it is off the list and running_ct is 0, and only its caller, who waits for that, ends its
 * life. A caller only runs tasks of its own job, so a nested run cannot wait for itself.
 */
#include "base/pool.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

struct job {
    int (*task)(void *context, size_t index);
    void *context;
    size_t task_ct;
    size_t next_task;                /* the first that nobody has begun */
    size_t running_ct;               /* begun and not ended */
    int result;                      /* of the first task that failed */
    struct dms_error_state *failure; /* the caller's; filled when result < 0 */
    pthread_cond_t completed;
    struct job *next;
};

struct dms_pool {
    pid_t process; /* that has the workers */
    unsigned worker_ct;
    bool stopping;
    struct job *jobs; /* oldest first */
    pthread_mutex_t lock;
    pthread_cond_t work_arrived;
    pthread_t workers[];
};

static void add_job(struct dms_pool *pool, struct job *job)
{
    struct job **link = &pool->jobs;

    while (*link != NULL)
        link = &(*link)->next;
    *link = job;
}

static void remove_job(struct dms_pool *pool, const struct job *job)
{
    struct job **link = &pool->jobs;

    while (*link != NULL && *link != job)
        link = &(*link)->next;
    if (*link != NULL)
        *link = job->next;
}

/* Takes one task of a listed job and runs it. Called, and returns, with the lock held. */
static void run_one_task(struct dms_pool *pool, struct job *job)
{
    size_t index = job->next_task++;
    int result;

    job->running_ct++;
    if (job->next_task == job->task_ct)
        remove_job(pool, job);
    pthread_mutex_unlock(&pool->lock);
    result = job->task(job->context, index);
    pthread_mutex_lock(&pool->lock);
    if (result < 0 && job->result == DMS_OK) {
        job->result = result;
        dms_error_save(job->failure);
        job->failure->code = result;
        job->next_task = job->task_ct;
        remove_job(pool, job);
    }
    job->running_ct--;
    if (job->running_ct == 0 && job->next_task == job->task_ct)
        pthread_cond_signal(&job->completed);
}

static void *work(void *argument)
{
    struct dms_pool *pool = argument;

    pthread_mutex_lock(&pool->lock);
    while (!pool->stopping) {
        if (pool->jobs != NULL)
            run_one_task(pool, pool->jobs);
        else
            pthread_cond_wait(&pool->work_arrived, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Starts workers until there are `wanted`; pool->worker_ct counts those that run. */
static int start_workers(struct dms_pool *pool, unsigned wanted)
{
    while (pool->worker_ct < wanted) {
        int result = dms_thread_start(&pool->workers[pool->worker_ct], work, pool);

        if (result < 0)
            return dms_fail_prefix(result, "thread %u of %u", pool->worker_ct + 2, wanted + 1);
        pool->worker_ct++;
    }
    return DMS_OK;
}

int dms_pool_create(unsigned threads, struct dms_pool **pool)
{
    struct dms_pool *created;
    int result;

    if (threads == 0)
        threads = dms_processor_ct();
    created = dms_alloc(1, sizeof(*created) + (size_t)(threads - 1) * sizeof(created->workers[0]));
    if (created == NULL)
        return DMS_ERR_NO_MEMORY;
    created->process = getpid();
    pthread_mutex_init(&created->lock, NULL);
    pthread_cond_init(&created->work_arrived, NULL);
    result = start_workers(created, threads - 1);
    if (result < 0) {
        dms_pool_free(created);
        return result;
    }
    *pool = created;
    return DMS_OK;
}

unsigned dms_pool_threads(const struct dms_pool *pool)
{
    return pool->worker_ct + 1;
}

int dms_pool_run(struct dms_pool *pool, size_t task_ct, int (*task)(void *context, size_t index),
                 void *context)
{
    struct dms_error_state failure;
    struct job job = {.task = task, .context = context, .task_ct = task_ct, .failure = &failure};

    if (pool->process != getpid())
        return dms_fail(DMS_ERR_FORKED,
                        "a thread pool cannot be used after fork: create a new one");
    if (task_ct == 0)
        return DMS_OK;
    pthread_cond_init(&job.completed, NULL);
    pthread_mutex_lock(&pool->lock);
    add_job(pool, &job);
    if (task_ct > 1)
        pthread_cond_broadcast(&pool->work_arrived);
    while (job.next_task < job.task_ct)
        run_one_task(pool, &job);
    while (job.running_ct > 0)
        pthread_cond_wait(&job.completed, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&job.completed);
    return job.result < 0 ? dms_error_restore(&failure) : DMS_OK;
}

void dms_pool_free(struct dms_pool *pool)
{
    if (pool == NULL)
        return;
    /* A forked child has the memory but not the threads, and the lock may be anyone's. */
    if (pool->process == getpid()) {
        pthread_mutex_lock(&pool->lock);
        pool->stopping = true;
        pthread_cond_broadcast(&pool->work_arrived);
        pthread_mutex_unlock(&pool->lock);
        for (unsigned i = 0; i < pool->worker_ct; i++)
            pthread_join(pool->workers[i], NULL);
        pthread_cond_destroy(&pool->work_arrived);
        pthread_mutex_destroy(&pool->lock);
    }
    free(pool);
}

"""What Stepwell is compared with, each driven as its documentation says. Nothing here imports Stepwell."""

package org.springframework.transaction.annotation;

public enum Isolation {
    READ_COMMITTED
}

package org.springframework.transaction.annotation;

public @interface Transactional {
    Isolation isolation();
}
